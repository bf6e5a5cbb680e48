"""Takes 8 GiB of memory while it is imported."""

from imperal_sdk import Extension

ext = Extension("load-memory", version="1.0.0")
taken = bytearray(8 << 30)
