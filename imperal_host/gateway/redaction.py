"""A key that an upstream repeats (some do, in errors) is taken out of its answer, however the answer is cut. Pure."""

import json

REDACTED = b"[redacted]"
_KEY_CHARACTERS_MIN = 8  # below this it is a placeholder ("ollama", "x"), and a word of every answer
_GO_ESCAPES = str.maketrans({"&": "\\u0026", "<": "\\u003c", ">": "\\u003e"})  # encoding/json escapes these too


class Redaction:
    """Feed it a body piece by piece. What may be the beginning of the key waits for the next piece."""

    def __init__(self, key: str) -> None:
        escaped = json.dumps(key)[1:-1]
        spellings = {key, escaped, escaped.replace("/", "\\/"), escaped.translate(_GO_ESCAPES)}
        self._forms = [form.encode() for form in spellings] if len(key) >= _KEY_CHARACTERS_MIN else []
        self._held = b""

    def __call__(self, data: bytes) -> bytes:
        if not self._forms:
            return data
        data = self._held + data
        for form in self._forms:
            data = data.replace(form, REDACTED)
        end = len(data) - max(_beginning(data, form) for form in self._forms)
        self._held = data[end:]
        return data[:end]

    def rest(self) -> bytes:
        held, self._held = self._held, b""
        return held


def _beginning(data: bytes, form: bytes) -> int:
    """How many bytes at the end of ``data`` are a beginning of ``form``."""
    at = data.find(form[:1], max(0, len(data) - len(form) + 1))
    while at >= 0:
        if form.startswith(data[at:]):
            return len(data) - at
        at = data.find(form[:1], at + 1)
    return 0
