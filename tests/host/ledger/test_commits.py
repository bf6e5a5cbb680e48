"""Many appends, one commit: each row fails or stands by itself, in order, and is on disk before its caller goes on."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imperal_host.errors import LedgerError
from imperal_host.ledger.event import Event, Receipt
from imperal_host.ledger.ledger import Ledger
from imperal_host.storage.database import Database, Transaction
from tests.host.conftest import SIGNER, FixedClock, event, sql, turns_of_the_loop


async def append_all(ledger: Ledger, events: list[Event]) -> list[Receipt | BaseException]:
    return await asyncio.gather(*map(ledger.append, events), return_exceptions=True)


def intents(count: int) -> list[Event]:
    return [event("intent", f"a{number}") for number in range(count)]


def calls_on_disk(file: Path) -> list[str]:
    return [call for (call,) in sql(file, 'select call_id from entry order by tenant, "index"')]


@contextmanager
def commits_of(database: Database, refuse: bool = False) -> Iterator[list[int]]:
    """One item for each commit while inside; ``refuse`` makes each fail."""
    seen: list[int] = []

    def hook() -> bool:
        seen.append(1)
        return refuse

    database._connection.set_commit_hook(hook)
    yield seen
    database._connection.set_commit_hook(None)


@contextmanager
def busy(database: Database) -> Iterator[None]:
    """The writer's thread has its hands full until this is left."""
    may_end = threading.Event()

    def hold(transaction: Transaction) -> None:
        assert may_end.wait(10)

    holding = asyncio.ensure_future(database.write(hold))
    try:
        yield
    finally:
        may_end.set()
    assert not holding.done()


@pytest.mark.parametrize(("rows", "commits"), [(1, 1), (50, 1), (64, 1), (65, 2), (300, 5)])
async def test_appends_at_once_share_commits_of_bounded_size(
    ledger: Ledger, database: Database, database_file: Path, rows: int, commits: int
) -> None:
    with commits_of(database) as seen:
        receipts = await append_all(ledger, intents(rows))
    assert len(seen) == commits
    assert [receipt.index for receipt in receipts if isinstance(receipt, Receipt)] == list(range(rows))
    assert calls_on_disk(database_file) == [f"a{number}" for number in range(rows)]
    assert (await ledger.verify()).holds


async def test_rows_of_several_tenants_in_one_commit_keep_their_order_in_each_chain(
    ledger: Ledger, database: Database
) -> None:
    tenants = ["acme", "globex", "initech"]
    with commits_of(database) as seen:
        receipts = await append_all(ledger, [event("intent", f"a{n}", tenant=tenants[n % 3]) for n in range(30)])
    assert len(seen) == 1
    assert [(r.tenant, r.index) for r in receipts if isinstance(r, Receipt)] == [
        (tenants[n % 3], n // 3) for n in range(30)
    ]
    assert (await ledger.verify()).holds


@settings(max_examples=25)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["acme", "globex"]), st.integers(0, 6), st.sampled_from([1, 1, 1, 0.5, "\ud800"])),
        max_size=12,
    )
)
async def test_a_row_that_cannot_be_stored_fails_alone(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, int | float | str]]
) -> None:
    database = Database.open(tmp_path_factory.mktemp("poison") / "host.sqlite3")
    ledger = Ledger(database, FixedClock(), SIGNER)
    stored: set[int] = set()
    good: list[bool] = []
    for _, call, detail in rows:  # a call that is there has no second intent
        good.append(detail == 1 and call not in stored)
        stored |= {call} if good[-1] else set()
    told = await append_all(
        ledger,
        [event("intent", f"a{call}", tenant=tenant, detail=detail) for tenant, call, detail in rows],  # type: ignore[arg-type]
    )
    report = await ledger.verify()
    database.close()
    assert [isinstance(answer, Receipt) for answer in told] == good
    assert all(isinstance(answer, Receipt | LedgerError) for answer in told)
    assert (report.holds, report.rows) == (True, sum(good))


async def test_a_failure_that_ends_the_transaction_fails_for_everybody_in_it(
    ledger: Ledger, database: Database, database_file: Path
) -> None:
    database._connection.execute(
        "create temp trigger bomb before insert on entry when new.call_id = 'a2'"
        " begin select raise(rollback, 'no'); end"
    )
    told = await append_all(ledger, intents(4))
    assert [type(answer) for answer in told] == [LedgerError] * 4
    assert calls_on_disk(database_file) == []
    await ledger.append(event("intent", "a9"))
    assert (await ledger.verify()).holds


@pytest.mark.parametrize("rows", [1, 20])
async def test_a_commit_that_fails_fails_for_everybody_in_it(
    ledger: Ledger, database: Database, database_file: Path, rows: int
) -> None:
    with commits_of(database, refuse=True):
        told = await append_all(ledger, intents(rows))
    assert [type(answer) for answer in told] == [LedgerError] * rows
    assert calls_on_disk(database_file) == []
    assert all(isinstance(answer, Receipt) for answer in await append_all(ledger, intents(rows)))


async def test_a_full_disk_is_told_to_everybody_and_later_rows_have_their_chance(
    ledger: Ledger, database: Database, database_file: Path
) -> None:
    await ledger.append(event("intent", "before"))
    database._connection.pragma("max_page_count", 1)
    told = await append_all(ledger, [event("intent", f"a{n}", padding="x" * 100_000) for n in range(10)])
    assert [type(answer) for answer in told] == [LedgerError] * 10
    database._connection.pragma("max_page_count", 1_000_000)
    assert all(isinstance(answer, Receipt) for answer in await append_all(ledger, intents(10)))
    assert calls_on_disk(database_file) == ["before", *(f"a{n}" for n in range(10))]
    assert (await ledger.verify()).holds


async def test_a_caller_that_is_cancelled_in_the_queue_is_told_once_its_row_is_on_disk(
    ledger: Ledger, database: Database, database_file: Path
) -> None:
    with busy(database):
        first, cancelled, other = (asyncio.ensure_future(ledger.append(event("intent", n))) for n in "abc")
        await turns_of_the_loop(5)
        queued = asyncio.ensure_future(ledger.append(event("intent", "d")))
        for _ in range(3):
            await turns_of_the_loop(5)
            cancelled.cancel()
            queued.cancel()
        await turns_of_the_loop(5)
        assert not cancelled.done()
        assert not queued.done()
    for task in (cancelled, queued):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert ((await first).index, (await other).index) == (0, 2)
    assert calls_on_disk(database_file) == ["a", "b", "c", "d"]


async def test_a_caller_that_is_cancelled_during_the_commit_is_told_after_it(
    ledger: Ledger, database: Database, database_file: Path
) -> None:
    committing, may_end = threading.Event(), threading.Event()

    def hook() -> bool:
        committing.set()
        return not may_end.wait(10)

    database._connection.set_commit_hook(hook)
    cancelled, other = (asyncio.ensure_future(ledger.append(event("intent", n))) for n in "ab")
    await asyncio.to_thread(committing.wait, 10)
    cancelled.cancel()
    await turns_of_the_loop(10)
    early = cancelled.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert not early
    assert (await other).index == 1
    database._connection.set_commit_hook(None)
    assert calls_on_disk(database_file) == ["a", "b"]


async def test_what_is_queued_when_the_database_is_closed_is_on_disk_and_told(
    database_file: Path, clock: FixedClock
) -> None:
    database = Database.open(database_file)
    ledger = Ledger(database, clock, SIGNER)
    await ledger._begin_boot(0)
    appending = [asyncio.ensure_future(ledger.append(row)) for row in intents(200)]
    await turns_of_the_loop(1)  # each has asked; at most one commit has begun
    database.close()
    assert calls_on_disk(database_file) == [f"a{number}" for number in range(200)]
    assert [(await task).index for task in appending] == list(range(200))
    with pytest.raises(LedgerError):
        await ledger.append(event("intent", "late"))
