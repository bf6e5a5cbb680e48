"""One SQLite file, and the schema as numbered forward-only migrations.

``Database`` runs every statement on threads of its own, one for writes and one for reads, so that a slow disk
never stops the event loop, and every write in one ``BEGIN IMMEDIATE`` transaction: several processes (a server
and a command) may share the file. A way to the disk, or to a thread, costs more than what is done there: many
small reads, and many small appends (``batches``), go together, without waiting for one another. Rooms keep their
SQL in their own ``store.py``; this room knows no table but ``schema_version``.

Absent on purpose: an ORM, a query builder, a connection pool.
"""
