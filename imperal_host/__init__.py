"""The host: runs extensions in sandboxes and lends them the right model, with every call on record."""

__version__ = "0.1.0"
