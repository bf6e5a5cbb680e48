"""The ledger where disks, clocks and processes fail: what was acknowledged is there, and the record holds."""

import asyncio
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from imperal_host.errors import IntegrityError, LedgerError
from imperal_host.ledger.checkpoint import Signer
from imperal_host.ledger.ledger import Ledger
from imperal_host.storage.database import Database
from tests.host.conftest import ROOT, SIGNER, FixedClock, event, sql

ROUNDS = 25
LOAD = """
import asyncio, sys
from pathlib import Path
from imperal_host.clock import SystemClock
from imperal_host.ledger.checkpoint import Signer
from imperal_host.ledger.ledger import Ledger
from imperal_host.storage.database import Database
from tests.host.conftest import SIGNER, event

async def main() -> None:
    ledger = Ledger(Database.open(Path(sys.argv[1])), SystemClock(), SIGNER)
    await ledger.begin()
    await ledger.settle()

    async def act(who: int) -> None:
        number = 0
        while True:
            for kind in ("intent", "outcome"):
                call = f"{sys.argv[2]}-{who}-{number}"
                print(await ledger.append(event(kind, call, tenant=f"t{who % 3}", hold_nano_usd=1, cost=1)), flush=True)
            number += 1

    await asyncio.gather(*(act(who) for who in range(24)))

asyncio.run(main())
"""


class Faults:
    """Which write or sync fails, counted from now on, and with what."""

    def __init__(self) -> None:
        self.calls = 0
        self.fails_at: int | None = None
        self.error: type[Exception] = apsw.IOError

    def arm(self, fails_at: int | None, error: type[Exception]) -> None:
        self.calls, self.fails_at, self.error = 0, fails_at, error

    def count(self) -> None:
        self.calls += 1
        if self.calls == self.fails_at:
            raise self.error("injected")


class FaultyFile(apsw.VFSFile):
    def __init__(self, faults: Faults, name: Any, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._faults = faults

    def xWrite(self, data: bytes, offset: int) -> None:
        self._faults.count()
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._faults.count()
        super().xSync(flags)


class FaultyDisk(apsw.VFS):
    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        super().__init__("faulty", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> FaultyFile:
        return FaultyFile(self._faults, name, flags)


@pytest.fixture
def faults() -> Iterator[Faults]:
    made = Faults()
    disk = FaultyDisk(made)
    yield made
    disk.unregister()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "host.sqlite3"


def calls_in(file: Path) -> set[tuple[str, str]]:
    return set(sql(file, "select call_id, kind from entry"))


@pytest.mark.parametrize("error", [apsw.IOError, apsw.FullError], ids=["EIO", "ENOSPC"])
async def test_every_write_and_sync_of_an_append_may_fail_once(
    file: Path, faults: Faults, error: type[Exception]
) -> None:
    database = Database.open(file)
    ledger = Ledger(database, FixedClock(), SIGNER)
    acknowledged: set[tuple[str, str]] = set()
    for number in range(5):
        await ledger.append(event("intent", f"before-{number}"))
        acknowledged.add((f"before-{number}", "intent"))
    refused, nth = 0, 1
    while True:
        # Either outcome is honest: a row that was refused may be there, one that was acknowledged must be.
        faults.arm(nth, error)
        rows = [event("intent", f"{nth}-{number}", padding="x" * 3_000) for number in range(4)]
        told = await asyncio.gather(*map(ledger.append, rows), return_exceptions=True)
        assert all(isinstance(answer, LedgerError) or hasattr(answer, "index") for answer in told), told
        acknowledged |= {(f"{nth}-{n}", "intent") for n, answer in enumerate(told) if hasattr(answer, "index")}
        refused += sum(isinstance(answer, LedgerError) for answer in told)
        reached = faults.calls >= nth
        faults.arm(None, error)
        await ledger.append(event("intent", f"after-{nth}"))
        acknowledged.add((f"after-{nth}", "intent"))
        if not reached:
            break
        nth += 1
    assert nth > 5
    assert refused > 5
    report = await ledger.verify()
    database.close()
    assert report.findings == ()
    assert acknowledged <= calls_in(file)


async def test_after_a_failed_sync_the_connection_is_a_new_one_that_has_looked_at_the_end(
    file: Path, faults: Faults
) -> None:
    database = Database.open(file)
    ledger = Ledger(database, FixedClock(), SIGNER)
    await ledger.append(event("intent", "a"))
    before = database._connection
    faults.arm(1, apsw.IOError)
    with pytest.raises(LedgerError):
        await ledger.append(event("intent", "b"))
    await ledger.append(event("intent", "c"))
    assert database._connection is not before

    faults.arm(1, apsw.IOError)
    with pytest.raises(LedgerError):
        await ledger.append(event("intent", "d"))
    sql(file, "delete from entry where call_id = 'c'")
    for _ in range(2):
        with pytest.raises(LedgerError, match="not those that were signed"):
            await ledger.append(event("intent", "e"))
    database.close()


def test_killed_under_load_again_and_again(file: Path) -> None:
    seed = random.Random(7)
    acknowledged: set[str] = set()
    for round_ in range(ROUNDS):
        process = subprocess.Popen(
            [sys.executable, "-c", LOAD, str(file), str(round_)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        time.sleep(seed.random() * 0.1)
        process.kill()
        lines += process.stdout.readlines()
        assert process.wait(60) == -9
        process.stdout.close()
        acknowledged |= {line.strip() for line in lines if line.endswith("\n")}
    assert len(acknowledged) > ROUNDS
    asyncio.run(settled_and_whole(file, acknowledged))


async def settled_and_whole(file: Path, acknowledged: set[str]) -> None:
    database = Database.open(file)
    ledger = Ledger(database, FixedClock(), SIGNER)
    await ledger.begin()
    await ledger.settle()
    report = await ledger.verify()
    stored = {f"{t}:{i}:{h.hex()}" for t, i, h in sql(file, 'select tenant, "index", hash from entry')}
    ends = sql(file, "select call_id from entry where kind in ('outcome', 'unresolved')")
    begun = sql(file, "select call_id from entry where kind = 'intent'")
    database.close()
    assert (report.findings, report.open_intents) == ((), 0)
    assert acknowledged <= stored
    assert sorted(ends) == sorted(begun), "each was ended, once"


@pytest.mark.parametrize("cut", range(0, 100, 9))
async def test_power_fails_and_the_log_is_torn(file: Path, tmp_path: Path, cut: int) -> None:
    """What a sync had promised is whole up to the tear; nothing of a torn commit is there."""
    database = Database.open(file)
    ledger = Ledger(database, FixedClock(), SIGNER)
    for number in range(12):
        await asyncio.gather(*(ledger.append(event("intent", f"{number}-{n}", tenant=f"t{n}")) for n in range(4)))
    wal = file.with_name(file.name + "-wal").read_bytes()
    after = tmp_path / "after" / "host.sqlite3"
    after.parent.mkdir()
    shutil.copy(file, after)
    kept = len(wal) * cut // 100
    after.with_name(after.name + "-wal").write_bytes(
        wal[:kept] + random.Random(cut).randbytes(min(700, len(wal) - kept))
    )
    database.close()

    reopened = Database.open(after)
    ledger = Ledger(reopened, FixedClock(), SIGNER)
    await ledger.begin()
    report = await ledger.verify()
    assert report.findings == ()
    assert report.rows < 48
    await ledger.append(event("intent", "after"))
    assert (await ledger.verify()).rows == report.rows + 1
    reopened.close()


async def test_a_database_that_is_held_is_refused_and_goes_on(file: Path) -> None:
    database = Database.open(file)
    ledger = Ledger(database, FixedClock(), SIGNER)
    await ledger.append(event("intent", "a"))
    database._connection.set_busy_timeout(20)
    holder = apsw.Connection(str(file))
    holder.execute("begin immediate")
    with pytest.raises(LedgerError):
        await ledger.append(event("intent", "b"))
    holder.execute("rollback")
    holder.close()
    await ledger.append(event("intent", "b"))
    report = await ledger.verify()
    assert (report.holds, report.rows) == (True, 2)
    database.close()


@pytest.mark.parametrize("days", [-1, 1, -20_000])
async def test_a_clock_that_is_set_changes_no_order(file: Path, days: int) -> None:
    clock = FixedClock()
    database = Database.open(file)
    ledger = Ledger(database, clock, SIGNER)
    await ledger.append(event("intent", "a"))
    clock.seconds += days * 86_400
    await ledger.append(event("outcome", "a"))
    report = await ledger.verify()
    assert (report.holds, report.rows) == (True, 2)
    database.close()


async def test_a_second_host_with_another_key_is_turned_away(file: Path) -> None:
    first = Database.open(file)
    ledger = Ledger(first, FixedClock(), SIGNER)
    await ledger.append(event("intent", "a"))
    second = Database.open(file)
    with pytest.raises(IntegrityError, match="not signed with this host's key"):
        await Ledger(second, FixedClock(), Signer.generate()).begin()
    second.close()
    first.close()
