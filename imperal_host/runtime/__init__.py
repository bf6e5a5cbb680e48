"""Isolates: one confined process each, one extension, one principal.

``interpreter``, ``policy`` and ``outside`` say what an isolate may see and use, and what the kernel must say of
it (pure values); ``zygote`` is the host's end of the trusted process that isolates are cloned from; ``launcher``
starts both; ``process``, ``output`` and ``cgroups`` are the operating system's side of one, ``channel`` the
protocol's; ``pool`` lends isolates (``turns``, ``backoff``), each to one principal for life.
The lock-down itself is in ``imperal_sdk.worker.confine``: the process that performs it becomes the
isolate and must never have imported this package.

Promises: a layer that does not hold means no launch, by the kernel's word; an isolate is killed, not asked; what
it says names no one; everything it may use is bounded.

Absent on purpose: knowledge of models, keys or the ledger. What a call may ask is behind ``Broker``,
which this room defines and the kernel implements.
"""
