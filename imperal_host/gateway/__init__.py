"""One model call: which model, with which parameters, at whose cost; and the only way out of the host.

``gateway`` reads top to bottom. What it decides is pure (``resolver``, ``parameters``, ``cascade``,
``addresses``, ``providers``); what it does is thin (``egress``, ``store``).

Promises: a user's own model that fails never becomes a platform call unless the user chose so; an inactive
binding counts as none, one that does not open is an error; an attempt is on record before a byte leaves;
an own-key attempt costs 0; a key goes into one header, in ``egress``, and comes back nowhere.

Absent on purpose: retries against one target (the caller's choice), redirects, proxies from the
environment, a cache of configuration (a change holds from the next call on, in every process).
"""
