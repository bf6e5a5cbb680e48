"""From what is found on disk to what can be called, at the start and while the host serves.

``folders`` finds candidates in the folder of the operator's own extensions; ``loading`` asks each candidate in a
sandbox what it is, and puts the answers into the catalog in one step. What has not changed keeps its isolates.

A version is loaded before the one it replaces goes; one that does not load leaves that one in service. The replaced
one drains: calls that found it finish on it, and its files stay until none can be left.

Found by looking (two small reads of names and times a second), not by inotify: a look misses nothing, needs no
limit of the kernel's, and works on every file system.
"""
