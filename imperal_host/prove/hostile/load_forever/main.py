"""Never ends being imported."""

from imperal_sdk import Extension

ext = Extension("load-forever", version="1.0.0")
while True:
    pass
