"""What happened, append-only, one Merkle tree a tenant, signed with every commit.

An action has two rows: ``intent``, on disk before its effect, and ``outcome``, on disk before its answer.
A function call is an action; so is each attempt to reach a model, whose ``parent`` is the call. An intent whose host
has died is ended by the next one as ``unresolved``, at the most that it may have cost; a ``correction`` says what it
has cost. ``key-op`` and ``config-op`` are what operators did. A row is its canonical bytes; the columns beside them
are a projection that verification compares.

Each commit appends the new head of every tree that grew to the *heads log*, and signs the log's checkpoint in the same
transaction: no committed row is unsigned. How that is checked, with the public key alone, is ``imperal_host.verify``.
The heads log has one leaf a tenant and commit, not one a commit, so that nobody's receipt tells of other tenants.

It cannot show that the whole ledger was put back to an older state, unless a witness keeps checkpoints elsewhere.

Absent on purpose: texts, arguments (an intent commits to them) and keys; update; delete.
"""
