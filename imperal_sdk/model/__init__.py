"""``ctx.llm``: one model call in all its forms, over one ``ask``.

``door`` is what an extension calls, ``request`` makes its arguments a request, ``stream`` reads an answer as it
comes, ``structured`` turns one into a pydantic model, ``tools`` runs functions that a model asks for. Nothing here
knows a key, an address or which model answers: the host decides that.
"""
