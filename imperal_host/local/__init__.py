"""The embedded platform model: SmolLM2-135M-Instruct by llama.cpp, as a supervised child process.

``weights`` fetches and checks the file, ``server`` is the child, ``supervisor`` starts it when it is
first asked for, keeps its key, and starts it again if it dies. The child listens on loopback, on a port
and with a key of its own choosing and ours; it ends with its parent.

It makes the host useful without any account; it is not meant to be clever.
"""
