"""What runs on the sandbox's side of the line.

``launch`` is the first code of an isolate's process: it confines itself (``confine``), and only then are
third-party packages and the extension imported (``loader``) and calls served (``serve``). The lock-down
lives here rather than in the host because the process that performs it becomes the isolate: it must
never have imported ``imperal_host``.

Until the lock-down is complete only the standard library is used.
"""
