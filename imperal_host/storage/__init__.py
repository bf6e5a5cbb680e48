"""One SQLite file, and the schema as numbered forward-only migrations.

``Database`` runs every statement on one thread of its own, so that a slow disk never stops the event
loop, and every write in one ``BEGIN IMMEDIATE`` transaction: several processes (a server and a command)
may share the file. Rooms keep their SQL in their own ``store.py``; this room knows no table but
``schema_version``.

Absent on purpose: an ORM, a query builder, a connection pool.
"""
