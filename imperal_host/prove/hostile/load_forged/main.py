"""Says that it is another extension, in a manifest of its own making."""

import json
import os

from imperal_sdk import Extension

ext = Extension("load-forged", version="1.0.0")
manifest = {"app_id": "acts", "version": "9.9.9", "display_name": "", "description": "", "functions": []}
body = json.dumps({"type": "ready", "manifest": manifest}).encode()
os.write(3, len(body).to_bytes(4, "big") + body)
