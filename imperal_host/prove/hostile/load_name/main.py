"""Says that its name is a path."""

import json
import os

from imperal_sdk import Extension

ext = Extension("load-name", version="1.0.0")
manifest = {"app_id": "../../vault", "version": "1", "display_name": "", "description": "", "functions": []}
body = json.dumps({"type": "ready", "manifest": manifest}).encode()
os.write(3, len(body).to_bytes(4, "big") + body)
