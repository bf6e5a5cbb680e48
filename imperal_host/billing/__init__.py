"""Money, as integer nano-USD (10**-9 USD). There is no float on the path.

Policy A: an attempt on a user's own key posts exactly 0, whatever it used, and is never held against a
budget. A platform attempt that was sent, and was not waited for or not understood, posts its hold: the most it
could have cost. What a user has spent is a fold of the ledger, not a counter beside it.
"""
