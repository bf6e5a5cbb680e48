"""Isolates: one confined process each, one extension, one principal.

``interpreter`` and ``policy`` say what an isolate may see and use (pure values); ``launcher`` starts one
and watches it lock itself down; ``channel`` talks to it; ``pool`` lends it, for life, to one principal.
The lock-down itself is in ``imperal_sdk.worker.confine``: the process that performs it becomes the
isolate and must never have imported this package.

Promises: a layer that does not hold means no launch; an isolate is killed, not asked; what it says names
no one; everything it may use is bounded.

Absent on purpose: knowledge of models, keys or the ledger. What a call may ask is behind ``Broker``,
which this room defines and the kernel implements.
"""
