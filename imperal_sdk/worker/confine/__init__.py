"""The sandbox layers, one file each, applied by the process to itself. Linux only, standard library only.

``namespaces`` and ``root`` give a private, nearly empty machine; ``privileges`` takes away what is left
of root and bounds resources; ``landlock`` and ``seccomp`` narrow files and system calls. A layer either
holds or raises ``OSError``: whether to go on without it is the operator's choice, made in the host.
"""
