"""Money is held before a platform call and settled after it: posted or voided, exactly one of the two, once."""

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

    async def hold(self, principal: Principal, nano_usd: int) -> Hold:
        """Raises ``BudgetExhaustedError`` if the user could not pay the most this may cost."""
        who = (principal.tenant, principal.user)
        hold = Hold(principal, nano_usd)
        # Counted before the question is asked: two calls at once must not both see the same money.
        self._held[who] += nano_usd
        try:
            if self._budget is not None:
                spent = await self._spending.spent_nano_usd(*who)
                if spent + self._held[who] > self._budget:
                    raise BudgetExhaustedError(
                        f"this call may cost {nano_usd:,} nano-USD; "
                        f"{spent:,} of the budget of {self._budget:,} are spent"
                    )
        except BaseException:
            self._held[who] -= nano_usd
            raise
        self._open.add(hold)
        return hold

    def release(self, hold: Hold) -> None:
        """Once the outcome is in the ledger, posted or void, the hold has done its work."""
        self._open.remove(hold)
        self._held[(hold.principal.tenant, hold.principal.user)] -= hold.nano_usd
