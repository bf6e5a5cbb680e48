"""Makes a forbidden system call while it is imported."""

import ctypes

from imperal_sdk import Extension

ext = Extension("load-forbidden", version="1.0.0")
ctypes.CDLL(None).syscall(101, 0, 0, 0, 0)
