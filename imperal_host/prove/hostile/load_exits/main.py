"""Ends its process while it is imported."""

import os

from imperal_sdk import Extension

ext = Extension("load-exits", version="1.0.0")
os._exit(0)
