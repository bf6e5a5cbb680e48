from collections.abc import Awaitable, Callable

import pytest

from imperal_host.ledger.ledger import Ledger
from imperal_host.storage.database import Database
from tests.host.conftest import FixedClock, event

Filled = Callable[[int], Awaitable[Ledger]]


@pytest.fixture
def ledger(database: Database, clock: FixedClock) -> Ledger:
    return Ledger(database, clock)


@pytest.fixture
def filled(ledger: Ledger) -> Filled:
    """Give it some finished actions of tenant acme: two rows each."""

    async def fill(actions: int) -> Ledger:
        for number in range(actions):
            await ledger.append(event("intent", f"a{number}"))
            await ledger.append(event("outcome", f"a{number}", cost=number))
        return ledger

    return fill
