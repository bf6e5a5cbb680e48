"""Several processes on one file, and one that is killed in the middle."""

import subprocess
import sys
from pathlib import Path

import pytest

from imperal_host.ledger.ledger import Ledger
from imperal_host.storage.database import Database
from tests.host.conftest import ROOT, SIGNER, FixedClock

APPENDS = """
import asyncio, sys
from pathlib import Path
from imperal_host.clock import SystemClock
from imperal_host.identity import CallId, Principal, Scope, TenantId, UserId
from imperal_host.ledger.checkpoint import Signer
from imperal_host.ledger.event import Event
from imperal_host.ledger.ledger import Ledger
from imperal_host.storage.database import Database

file, who, count, at_once = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

async def main() -> None:
    database = Database.open(file)
    ledger = Ledger(database, SystemClock(), Signer(bytes(range(32))))
    scope = Scope(CallId("parent"), Principal(TenantId("acme"), UserId(who)), "e", "1", "f")

    async def act(number: int) -> None:
        for kind in ("intent", "outcome"):
            receipt = await ledger.append(Event(kind, "llm", CallId(f"{who}-{number}"), scope, {}))
            print(receipt, flush=True)

    for first in range(0, count, at_once):
        await asyncio.gather(*(act(first + number) for number in range(at_once)))
    database.close()

asyncio.run(main())
"""


def start(file: Path, who: str, count: int, at_once: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", APPENDS, str(file), who, str(count), str(at_once)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stored(database: Database) -> set[str]:
    rows = database._connection.execute("""select tenant || ':' || "index" || ':' || lower(hex(hash)) from entry""")
    return {text for (text,) in rows}


@pytest.mark.parametrize("at_once", [1, 20], ids=["a row a commit", "many rows a commit"])
async def test_two_processes_append_to_one_chain(database_file: Path, clock: FixedClock, at_once: int) -> None:
    processes = [start(database_file, who, 60, at_once) for who in ("ada", "eve")]
    told = [process.communicate(timeout=60) for process in processes]
    assert [errors for _, errors in told] == ["", ""]
    receipts = [line for output, _ in told for line in output.split()]
    database = Database.open(database_file)
    report = await Ledger(database, clock, SIGNER).verify()
    assert (report.findings, report.rows, report.open_intents) == ((), 240, 0)
    assert stored(database) == set(receipts)
    database.close()


@pytest.mark.parametrize("at_once", [1, 20], ids=["a row a commit", "many rows a commit"])
async def test_a_process_that_is_killed_loses_no_row_that_it_was_told_of(
    database_file: Path, clock: FixedClock, at_once: int
) -> None:
    process = start(database_file, "ada", 1_000_000, at_once)
    assert process.stdout is not None
    assert process.stderr is not None
    receipts = [process.stdout.readline().strip() for _ in range(101)]  # in the middle of an action, and of a row
    process.kill()
    receipts += process.stdout.read().split()
    assert process.wait(timeout=60) == -9
    process.stdout.close()
    process.stderr.close()

    database = Database.open(database_file)
    ledger = Ledger(database, clock, SIGNER)
    report = await ledger.verify()
    assert report.findings == ()
    assert report.open_intents <= at_once
    whole = {receipt for receipt in receipts if len(receipt.rpartition(":")[2]) == 64}
    assert len(whole) >= 101
    assert stored(database) >= whole
    database.close()
