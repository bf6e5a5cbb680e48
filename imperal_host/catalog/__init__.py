"""Which extensions there are. Found by metadata alone: the host never imports extension code.

Two kinds of plugins, both under pluggy. *Extensions* (entry-point group ``imperal.extensions``, or a
folder with a ``main.py``) are untrusted: what is registered is a handle made of their manifest, under
their entry point's name. *Host plugins* (group ``imperal.host``) are trusted code of the operator's that
runs in the host: a model vendor, a price table.

An extension comes from one of three places: the host's own environment, the directory that ``imperal-host
extension`` keeps (``installed``: what is on disk; ``install``: how it gets there), or a folder of the operator's.
pip runs here, as a process that may start no other; what it lays out is loaded only inside a sandbox.

pluggy is synchronous: hooks declare, the host acts.
"""
