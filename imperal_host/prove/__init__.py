"""``imperal-host prove``: try to get out of the sandbox, on the operator's own machine, and show what stops it.

``hostile/`` holds extensions that attack. They are data here: the host never imports them, it finds them like
any folder of extensions and runs them in isolates, by the same path and with the same settings as all others.
``table/`` says of every attempt what it tries and by what evidence it counts as stopped, for each tier;
``row`` judges (pure: a report becomes a verdict); ``suite`` is the whole table; ``stage`` sets out what there
is to steal (keys in a vault of its own, a file, a variable, sockets that listen, a second tenant); ``trial``
makes one attempt and then looks whether anything else on the machine has changed.

An attempt is stopped only if it ended as its row says. Any other end is inconclusive and fails, a mistake in
the attempt too, and every kind has controls: things that an isolate may do, which must work. A layer is named
by what the evidence speaks for; where two layers would stop an act, the outer one is seen.

Deliberately absent: attacks on the kernel itself, on the processor's caches and on timing.
"""
