"""Proof for somebody who trusts nobody here: rows, receipts and a live host, checked with a public key alone.

It imports nothing of the writer, of its storage, or of its settings; the writer imports what is here. Rows are
leaves of one Merkle tree a tenant (RFC 9162, section 2.1). The head of each tree is, after each commit that made
it grow, a leaf of the *heads log*, whose checkpoint (C2SP tlog-checkpoint) is signed (C2SP signed-note).

What a signature cannot show: that a host was put back to an older, once true state. Only a checkpoint that was
kept elsewhere can; without one the report says so.
"""
