"""Floods the channel while it is imported."""

import os

from imperal_sdk import Extension

ext = Extension("load-floods", version="1.0.0")
while True:
    os.write(3, b"\xff" * (1 << 16))
