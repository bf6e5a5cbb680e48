"""One model call: which model, with which parameters, at whose cost; and the only way out of the host.

``gateway`` reads top to bottom. What it decides is pure (``resolver``, ``parameters``, ``cascade``,
``addresses``, ``providers``); what it does is thin (``egress``, ``store``).

Promises: a user's own model that fails never becomes a platform call unless the user chose so; an inactive
binding counts as none, one that does not open is an error; an attempt is on record before a byte leaves;
an own-key attempt costs 0; a key goes into one header, in ``egress``, and comes back nowhere.

A name is resolved at every call (answers are kept for seconds), each address is judged, and the connection goes to
one of those: kept connections are told apart by name and judged addresses, so nothing can be rebound in between. An
attempt is made again only where it cannot have done anything, and each has its own two rows. A circuit is one user's.

Absent on purpose: redirects, cookies, proxies from the environment, a cache of configuration (a change holds from
the next call on, in every process).
"""
