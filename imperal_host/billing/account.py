"""Money is held before a platform call and settled after it: posted or voided, exactly one of the two, once."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from imperal_host.errors import BudgetExhaustedError
from imperal_host.identity import Principal, TenantId, UserId


class Spending(Protocol):
    """What a user has spent on platform models so far, by the ledger."""

    async def spent_nano_usd(self, tenant: TenantId, user: UserId) -> int: ...


@dataclass(frozen=True, slots=True, eq=False)
class Hold:
    principal: Principal
    nano_usd: int


class Account:
    """Budgets of users. Open holds are this process's own; what was posted is the ledger's."""

    def __init__(self, spending: Spending, budget_nano_usd: int | None) -> None:
        self._spending = spending
        self._budget = budget_nano_usd
        self._held: Counter[tuple[TenantId, UserId]] = Counter()
        self._open: set[Hold] = set()
        self._deciding = asyncio.Lock()

    async def hold(self, principal: Principal, nano_usd: int) -> Hold:
        """Raises ``BudgetExhaustedError`` if the user could not pay the most this may cost.

        What costs nothing (an own key) is always given, to one who has spent too much as well.
        """
        if self._budget is None or nano_usd == 0:
            return self._taken(Hold(principal, nano_usd))
        who = (principal.tenant, principal.user)
        # One at a time: two calls at once must not both see the same money.
        async with self._deciding:
            # Counted before the question is asked: a hold that is posted and released while the answer is on
            # its way stands in neither otherwise.
            held = self._held[who]
            spent = await self._spending.spent_nano_usd(*who)
            if spent + held + nano_usd > self._budget:
                raise BudgetExhaustedError(
                    f"this call may cost {nano_usd:,} nano-USD; {spent:,} of the budget of {self._budget:,} are spent"
                )
            return self._taken(Hold(principal, nano_usd))

    def _taken(self, hold: Hold) -> Hold:
        self._held[(hold.principal.tenant, hold.principal.user)] += hold.nano_usd
        self._open.add(hold)
        return hold

    def release(self, hold: Hold) -> None:
        """Once the outcome is in the ledger, posted or void, the hold has done its work."""
        self._open.remove(hold)
        who = (hold.principal.tenant, hold.principal.user)
        self._held[who] -= hold.nano_usd
        if not self._held[who]:
            del self._held[who]
