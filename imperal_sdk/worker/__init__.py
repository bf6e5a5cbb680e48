"""What runs on the sandbox's side of the line.

``zygote`` is the first code of a new interpreter: it confines itself, imports what is trusted (never the
extension) and clones an isolate whenever the host asks for one. ``isolate`` is what a clone does: lock
itself down (``confine``), say so, wait until the host has looked at it from outside, and only then import
the extension (``loader``) and serve calls (``serve``). The lock-down lives here rather than in the host
because the process that performs it becomes the isolate: it must never have imported ``imperal_host``.

Memory that a zygote shares with its isolates is written by trusted code only, before the first of them.
"""
