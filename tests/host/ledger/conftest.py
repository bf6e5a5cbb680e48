from collections.abc import Awaitable, Callable

import pytest

from imperal_host.ledger.ledger import Ledger
from imperal_host.storage.database import Database
from tests.host.conftest import SIGNER, FixedClock, event

Filled = Callable[[int], Awaitable[Ledger]]


@pytest.fixture
async def ledger(database: Database, clock: FixedClock) -> Ledger:
    """In the middle of its life: the first append of a process begins it, with a commit more."""
    made = Ledger(database, clock, SIGNER)
    await made._begin_boot(0)
    return made


@pytest.fixture
def filled(ledger: Ledger) -> Filled:
    """Give it some finished actions of tenant acme: two rows each."""

    async def fill(actions: int) -> Ledger:
        for number in range(actions):
            await ledger.append(event("intent", f"a{number}"))
            await ledger.append(event("outcome", f"a{number}", cost=number))
        return ledger

    return fill
