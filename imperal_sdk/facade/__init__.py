"""The vendors' HTTP interfaces, answered by ``ctx.llm``: for their own libraries, and frameworks built on them.

``openai`` and ``anthropic`` translate and do nothing else: a request body to an ``LlmRequest``, a ``Completion`` or
its deltas to what the vendor would have answered. ``client`` puts them under an HTTP client without a socket.
What cannot be honoured is refused with status 400, in the vendor's own form of an error; what is only advice to the
vendor (a user's name, a cache hint, a service tier) is ignored. No key is looked at.
"""
