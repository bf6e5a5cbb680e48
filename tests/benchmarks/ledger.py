"""The ledger: durable signed appends, verification, receipts; beside what the disk does at best."""

import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from imperal_host.clock import SystemClock, new_id
from imperal_host.identity import CallId, Principal, Scope, TenantId, UserId
from imperal_host.ledger.checkpoint import Signer
from imperal_host.ledger.event import Event, Json, body_of, canonical
from imperal_host.ledger.ledger import Ledger
from imperal_host.ledger.merkle import Stored, append, inclusion_spans, root_of
from imperal_host.storage.database import Database
from imperal_host.verify.export import verify_export
from imperal_host.verify.merkle import Range, leaf_hash
from imperal_host.verify.receipt import Bundle, verify_receipt
from imperal_host.verify.record import Head
from tests.benchmarks.limits import fdatasync
from tests.benchmarks.measure import many_at_once, milliseconds, percentile
from tests.benchmarks.report import Figures, Goal, Row, measured
from tests.benchmarks.world import World

_CALLERS = 64
_TENANTS = 8
_ROWS_A_COMMIT = 16
_OPEN_LOOP_ROWS_PER_SECOND = 1_000
_DETAILS: dict[str, Json] = {
    "provider": "openai",
    "model": "gpt-4o-mini",
    "purpose": "summary",
    "is_byollm": False,
    "binding_version": 3,
    "hold_nano_usd": 1_000,
    "input_tokens": 812,
    "output_tokens": 120,
}
_CLOCK = SystemClock()


async def run(world: World) -> list[Row]:
    appended, verified = "a durable, signed ledger row", "rows verified"
    one, raw = partial(_one, world), partial(fdatasync, world.place, world.effort)
    return [
        await measured(f"{appended}, one caller", "imperal", "ledger", one, Goal("p50_ms", "<=", 0.6)),
        await measured(f"{appended}, one caller", "raw", "fdatasync of 8 KiB", raw),
        await measured(f"{appended}, {_CALLERS} callers", "imperal", "ledger", partial(_many, world, 0.0), *_MANY),
        await measured(
            f"{appended}, {_CALLERS} callers, a busy loop",
            "imperal",
            "ledger",
            partial(_many, world, 0.0005),
            *_MANY,
            note="other work takes half a millisecond of the loop in each round",
        ),
        await measured(
            f"{appended}, {_OPEN_LOOP_ROWS_PER_SECOND:,} asked a second",
            "imperal",
            "ledger",
            partial(_open_loop, world),
            Goal("p99_ms", "<=", 10),
        ),
        *[
            await measured(
                f"{verified}, {what}", "imperal", "verifier", partial(work, world), Goal("rows_per_second", ">=", goal)
            )
            for what, work, goal in (("an export", _export, 200_000), ("a database", _database, 100_000))
        ],
        await measured(
            "a receipt of a ledger of 1,000,000 rows",
            "imperal",
            "verifier",
            partial(_receipts, world),
            Goal("p99_bytes", "<=", 2_048),
            Goal("verified_per_second", ">=", 3_000),
            note=f"one tenant, {_ROWS_A_COMMIT} rows a commit; fewer rows with --quick",
        ),
    ]


_MANY = (Goal("rows_per_second", ">=", 10_000), Goal("p99_ms", "<=", 15))


@asynccontextmanager
async def _ledger(world: World) -> AsyncIterator[Ledger]:
    """As the host runs it: the interpreter changes threads as soon as the host's does."""
    database = Database.open(Path(tempfile.mkdtemp(dir=world.place)) / "host.sqlite3")
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0002)
    try:
        yield Ledger(database, _CLOCK, Signer.generate())
    finally:
        sys.setswitchinterval(before)
        database.close()


def _caller(ledger: Ledger, number: int) -> Callable[[], Awaitable[object]]:
    """An intent, its outcome, and so on: a row each time it is asked."""
    principal = Principal(TenantId(f"tenant{number % _TENANTS}"), UserId("ada"))
    scope = Scope(CallId(new_id(_CLOCK)), principal, "summarizer", "1.0.0", "summarize")
    open_call: list[CallId] = []

    def ask() -> Awaitable[object]:
        if open_call:
            return ledger.append(Event("outcome", "llm", open_call.pop(), scope, _DETAILS, scope.call, 31))
        open_call.append(CallId(new_id(_CLOCK)))
        return ledger.append(Event("intent", "llm", open_call[0], scope, _DETAILS, scope.call))

    return ask


async def _one(world: World) -> Figures:
    async with _ledger(world) as ledger:
        rate, times = await many_at_once([_caller(ledger, 0)], world.effort)
    return {**milliseconds(times), "rows_per_second": rate["calls_per_second"]}


async def _many(world: World, other_seconds: float) -> Figures:
    async with _ledger(world) as ledger:
        other = asyncio.create_task(_other_work(other_seconds))
        rate, times = await many_at_once([_caller(ledger, number) for number in range(_CALLERS)], world.effort)
        other.cancel()
    return {"rows_per_second": rate["calls_per_second"], **milliseconds(times)}


async def _other_work(seconds: float) -> None:
    while seconds:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            json.dumps(_DETAILS)
        await asyncio.sleep(0)


async def _open_loop(world: World) -> Figures:
    """Rows are asked for at their time, whether or not those before are there."""
    times: list[float] = []

    async def ask(due: float, caller: Callable[[], Awaitable[object]]) -> None:
        await caller()
        times.append(time.perf_counter() - due)

    async with _ledger(world) as ledger, asyncio.TaskGroup() as group:
        await _caller(ledger, 0)()
        begun = time.perf_counter()
        for number in range(world.effort.calls):
            due = begun + number / _OPEN_LOOP_ROWS_PER_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(ask(due, _caller(ledger, number)))
    return milliseconds(times)


async def _filled(ledger: Ledger, world: World) -> None:
    async def fill(caller: Callable[[], Awaitable[object]]) -> None:
        for _ in range(world.effort.calls // 2):
            await caller()

    await asyncio.gather(*(fill(_caller(ledger, number)) for number in range(_CALLERS)))


async def _database(world: World) -> Figures:
    async with _ledger(world) as ledger:
        await _filled(ledger, world)
        begun = time.perf_counter()
        report = await ledger.verify()
        taken = time.perf_counter() - begun
    assert report.holds
    return {"rows_per_second": report.rows / taken}


async def _export(world: World) -> Figures:
    async with _ledger(world) as ledger:
        await _filled(ledger, world)
        lines: list[bytes] = []
        await ledger.export(lines.append)
        key = ledger.key
    begun = time.perf_counter()
    report = verify_export(lines, key)
    assert report.holds
    return {"rows_per_second": report.rows / (time.perf_counter() - begun)}


class _Tree:
    """A tree in memory, kept as the database keeps it."""

    def __init__(self) -> None:
        self.tree = Range()
        self.levels: dict[int, list[bytes]] = {0: [], 8: [], 16: []}

    def append(self, leaf: bytes) -> None:
        self.levels[0].append(leaf)
        for kept in append(self.tree, leaf):
            self.levels[kept.level].append(kept.hash)

    @property
    def stored(self) -> Stored:
        return lambda level, first, count: self.levels[level][first : first + count]


async def _receipts(world: World) -> Figures:
    """Receipts of rows all over the ledger, each as of the commit that it came with."""
    rows = 500 * world.effort.calls
    signer, chosen = Signer.generate(), set(random.Random(7).sample(range(rows), min(rows, 300)))
    acme, log, bundles = _Tree(), _Tree(), list[bytes]()
    event = Event("outcome", "llm", CallId(new_id(_CLOCK)), _SCOPE, _DETAILS, _SCOPE.call, 31)
    waiting: list[tuple[int, bytes]] = []
    for index in range(rows):
        body = canonical(body_of(event, index, 1_750_000_000_000, 1)) if index in chosen else b""
        acme.append(leaf_hash(body))
        waiting += [(index, body)] if index in chosen else []
        if acme.tree.size % _ROWS_A_COMMIT == 0:
            log.append(Head("acme", acme.tree.size, acme.tree.root).leaf)
            bundles += [_bundle(acme, log, signer, *row) for row in waiting]
            waiting = []
    begun = time.perf_counter()
    for bundle in bundles:
        verify_receipt(bundle, signer.key)
    rate = len(bundles) / (time.perf_counter() - begun)
    sizes = [float(len(bundle)) for bundle in bundles]
    return {"p50_bytes": percentile(sizes, 0.5), "p99_bytes": percentile(sizes, 0.99), "verified_per_second": rate}


_SCOPE = Scope(CallId(new_id(_CLOCK)), Principal(TenantId("acme"), UserId("ada")), "summarizer", "1.0.0", "summarize")


def _bundle(acme: _Tree, log: _Tree, signer: Signer, index: int, body: bytes) -> bytes:
    size, at = acme.tree.size, log.tree.size - 1
    path = [root_of(span, acme.stored) for span in inclusion_spans(index, size)]
    heads_path = [root_of(span, log.stored) for span in inclusion_spans(at, log.tree.size)]
    return Bundle(body, size, path, at, heads_path, signer.checkpoint(log.tree.size, log.tree.root)).to_json()
