"""Figures of the sandbox, each beside its goal, its peers and the raw limit of this machine, in one run.

``make bench`` runs them all. ``measure`` takes times, ``processes`` counts processes and memory, ``report`` holds the
rows and prints them, ``world`` is what the host's side needs; each other module here is one group of figures, and
``peers/`` is what the groups are compared with. Machines are shared and differ: a ratio to a peer or to a raw limit
of the same run says more than a figure alone.

Nothing here is asserted by a test: ``--check`` is for people and for machines that are alone.
"""
