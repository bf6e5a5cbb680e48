"""The HTTP doors, by starlette. ``routes`` is one screen; ``auth`` says who; ``errors`` says what HTTP says.

A handler reads its input, asks one room, and writes the answer; it decides nothing.
"""
