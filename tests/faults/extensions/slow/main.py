"""An extension whose importing takes longer than anybody waits."""

import time

from imperal_sdk import ChatExtension, Extension

print("importing", flush=True)
time.sleep(3600)
ext = Extension("slow", version="1.0.0")
chat = ChatExtension(ext)
