"""What a host that died has left open is ended by the next, at the most it may cost; a living one's is left alone."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from imperal_host.errors import InvalidError, LedgerError, NotFoundError
from imperal_host.identity import CallId, TenantId, UserId
from imperal_host.ledger import boots
from imperal_host.ledger.ledger import Ledger
from imperal_host.storage.database import Database
from tests.host.conftest import ROOT, SIGNER, FixedClock, event

ACME, ADA = TenantId("acme"), UserId("ada")
DIES = """
import asyncio, os, sys
from pathlib import Path
from imperal_host.clock import SystemClock
from imperal_host.ledger.ledger import Ledger
from imperal_host.storage.database import Database
from tests.host.conftest import SIGNER, event

async def main() -> None:
    ledger = Ledger(Database.open(Path(sys.argv[1])), SystemClock(), SIGNER)
    await ledger.append(event("intent", "call"))
    await ledger.append(event("intent", "try", hold_nano_usd=700, model="m"))
    await ledger.append(event("intent", "done"))
    await ledger.append(event("outcome", "done", cost=5))
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def a_host_dies(database_file: Path) -> None:
    done = subprocess.run([sys.executable, "-c", DIES, database_file], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == -9


@pytest.fixture
def after(database_file: Path, clock: FixedClock) -> Ledger:
    a_host_dies(database_file)
    return Ledger(Database.open(database_file), clock, SIGNER)


async def test_its_intents_become_unresolved_at_the_most_they_may_cost(after: Ledger, database_file: Path) -> None:
    await after.begin()
    assert (await after.verify()).open_intents == 2
    assert await after.settle() == 2
    assert await after.spent_nano_usd(ACME, ADA) == 705
    settled = {row.call_id: row for row in await after.latest(10) if row.kind == "unresolved"}
    assert {call: row.cost_nano_usd for call, row in settled.items()} == {"call": 0, "try": 700}
    assert settled["try"].content["details"] == {"hold_nano_usd": 700, "model": "m", "outcome": "unresolved"}
    report = await after.verify()
    assert (report.holds, report.open_intents) == (True, 0)
    assert await after.settle() == 0
    assert [path.name for path in boots.folder_of(database_file).iterdir()] == ["2"], "the dead one's file is gone"
    after._database.close()
    assert list(boots.folder_of(database_file).iterdir()) == []


async def test_a_correction_says_what_it_has_cost_once(after: Ledger) -> None:
    await after.settle()
    for call in ("done", "nobody"):
        with pytest.raises(NotFoundError):
            await after.correct(CallId(call), 1, "by the bill")
    with pytest.raises(InvalidError):
        await after.correct(CallId("try"), -1, "by the bill")
    await after.correct(CallId("try"), 30, "by the bill")
    assert await after.spent_nano_usd(ACME, ADA) == 35
    with pytest.raises(LedgerError):
        await after.correct(CallId("try"), 40, "by another bill")
    assert (await after.verify()).holds
    after._database.close()


async def test_what_a_living_host_is_doing_is_left_alone(
    ledger: Ledger, database_file: Path, clock: FixedClock
) -> None:
    await ledger.append(event("intent", "mine"))
    side = Ledger(Database.open(database_file), clock, SIGNER)
    assert await side.settle() == 0
    await side.append(event("intent", "theirs"))
    assert await ledger.settle() == await side.settle() == 0
    side._database.close()
    assert await ledger.settle() == 1, "it has ended, and left one"
    await ledger.append(event("outcome", "mine"))
    report = await ledger.verify()
    assert (report.holds, report.open_intents) == (True, 0)


async def test_two_that_settle_at_once_settle_each_intent_once(database_file: Path, clock: FixedClock) -> None:
    a_host_dies(database_file)
    both = [Ledger(Database.open(database_file), clock, SIGNER) for _ in range(2)]
    await asyncio.gather(*(ledger.settle() for ledger in both))
    rows = [row.call_id for row in await both[0].latest(10) if row.kind == "unresolved"]
    assert sorted(rows) == ["call", "try"]
    assert (await both[1].verify()).holds
    for ledger in both:
        ledger._database.close()


@pytest.mark.parametrize("kind", ["outcome", "unresolved", "correction"])
async def test_an_end_without_a_beginning_is_not_written(ledger: Ledger, kind: str) -> None:
    await ledger.append(event("intent", "a", tenant="globex"))
    for call in ("a", "b"):  # of another tenant; of nobody
        with pytest.raises(LedgerError):
            await ledger.append(event(kind, call))  # type: ignore[arg-type]
    report = await ledger.verify()
    assert (report.holds, report.rows) == (True, 1)


async def test_a_ledger_without_its_key_writes_nothing(database: Database, clock: FixedClock) -> None:
    with pytest.raises(LedgerError, match="without its key"):
        await Ledger(database, clock).append(event("intent", "a"))
