"""One call: does it exist, may this principal, on record, lent an isolate, run, on record, answered.

``dispatch`` is the order of these steps and nothing else; ``broker`` is what a running call may ask;
``grants`` is the pure rule of who may ask what.
"""
