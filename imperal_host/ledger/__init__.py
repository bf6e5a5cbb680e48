"""What happened, append-only, one hash chain a tenant.

An action has two rows: ``intent``, on disk before its effect, and ``outcome``, on disk before its answer.
A function call is an action; so is each attempt to reach a model, whose ``parent`` is the call. A row is
its canonical bytes; the columns beside them are a projection that ``verify`` compares.

The chain shows edited, dropped, inserted and reordered rows, and a tail cut off behind the stored head.
It cannot show that somebody with write access rebuilt the whole file: nothing is signed yet.

Absent on purpose: texts, arguments and keys; update; delete.
"""
