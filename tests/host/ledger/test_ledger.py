"""Appending and reading: durable when it returns, one chain a tenant, nobody else's rows."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imperal_host.errors import LedgerError
from imperal_host.identity import CallId, TenantId, UserId
from imperal_host.ledger.event import Event
from imperal_host.ledger.ledger import Ledger
from imperal_host.storage.database import Database
from imperal_host.verify.merkle import leaf_hash
from tests.host.conftest import SIGNER, FixedClock, event, scope, sql
from tests.host.ledger.conftest import Filled

ACME, GLOBEX = TenantId("acme"), TenantId("globex")
ADA, EVE = UserId("ada"), UserId("eve")


async def test_a_receipt_names_a_row_that_another_connection_sees(ledger: Ledger, database_file: Path) -> None:
    receipt = await ledger.append(event("intent", "a"))
    rows = sql(database_file, 'select tenant, "index", hex(hash) from entry')
    assert rows == [(receipt.tenant, receipt.index, receipt.hash.upper())]
    assert str(receipt) == f"acme:0:{receipt.hash}"


async def test_each_row_is_a_leaf_in_its_place(filled: Filled) -> None:
    ledger = await filled(4)
    rows = await ledger.latest(100)
    assert [row.content["index"] for row in rows] == [row.index for row in rows] == list(range(8))
    assert [leaf_hash(row.body) for row in rows] == [row.hash for row in rows]


async def test_tenants_have_trees_of_their_own(ledger: Ledger) -> None:
    for number in range(3):
        for tenant in ("acme", "globex"):
            receipt = await ledger.append(event("intent", f"{tenant}-{number}", tenant=tenant))
            assert (receipt.tenant, receipt.index) == (tenant, number)
    report = await ledger.verify()
    assert (report.holds, report.tenants, report.rows, report.open_intents) == (True, 2, 6, 6)


async def test_appends_at_once_give_one_chain(ledger: Ledger) -> None:
    receipts = await asyncio.gather(*(ledger.append(event("intent", f"a{n}")) for n in range(50)))
    assert sorted(receipt.index for receipt in receipts) == list(range(50))
    assert (await ledger.verify()).holds


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["acme", "globex"]),
            st.integers(0, 2**53 - 1),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        ),
        max_size=12,
    )
)
async def test_whatever_is_appended_gives_chains_that_hold(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, str]]
) -> None:
    database = Database.open(tmp_path_factory.mktemp("chain") / "host.sqlite3")
    ledger = Ledger(database, FixedClock(), SIGNER)
    for number, (tenant, cost, text) in enumerate(rows):
        await ledger.append(event("intent", f"a{number}", tenant=tenant, text=text))
        await ledger.append(event("outcome", f"a{number}", tenant=tenant, cost=cost, text=text))
    report = await ledger.verify()
    database.close()
    assert (report.holds, report.rows, report.open_intents) == (True, 2 * len(rows), 0)


async def test_a_call_has_one_intent_and_one_outcome(ledger: Ledger) -> None:
    await ledger.append(event("intent", "a"))
    with pytest.raises(LedgerError):
        await ledger.append(event("intent", "a"))
    with pytest.raises(LedgerError):
        await ledger.append(event("intent", "a", tenant="globex"))
    report = await ledger.verify()
    assert (report.holds, report.rows) == (True, 1)


async def test_paging_shows_every_row_of_the_user_once_newest_first_and_nobody_elses(ledger: Ledger) -> None:
    users = [("acme", "ada"), ("acme", "eve"), ("globex", "ada")]
    for number in range(7):
        for tenant, user in users:
            await ledger.append(event("intent", f"{tenant}-{user}-{number}", tenant=tenant, user=user))
    seen, before = [], None
    while page := await ledger.of_user(ACME, ADA, limit=3, before=before):
        assert len(page) <= 3
        seen += [row.call_id for row in page]
        before = page[-1].index
    assert seen == [f"acme-ada-{number}" for number in reversed(range(7))]


@pytest.mark.parametrize("name", ["Ada", "ada ", "%", "_da", "ada' or '1'='1", ""])
async def test_a_name_that_only_resembles_sees_nothing(filled: Filled, name: str) -> None:
    ledger = await filled(2)
    assert await ledger.of_user(ACME, UserId(name), 10) == []
    assert await ledger.of_user(TenantId(name), ADA, 10) == []
    assert await ledger.latest(10, TenantId(name)) == []
    assert await ledger.spent_nano_usd(ACME, UserId(name)) == 0


async def test_a_call_is_told_with_its_model_attempts_and_no_other_call(ledger: Ledger) -> None:
    def attempt(call: str, parent: str, tenant: str = "acme") -> Event:
        return Event("intent", "llm", CallId(call), scope(tenant), {}, parent=CallId(parent))

    await ledger.append(event("intent", "call-1"))
    await ledger.append(event("intent", "call-2"))
    await ledger.append(attempt("try-1", "call-1"))
    await ledger.append(attempt("try-2", "call-2"))
    await ledger.append(attempt("try-3", "call-1", tenant="globex"))
    await ledger.append(event("outcome", "call-1"))
    told = [(row.call_id, row.kind) for row in await ledger.of_call(CallId("call-1"))]
    assert told == [("call-1", "intent"), ("try-1", "intent"), ("call-1", "outcome")]
    assert await ledger.of_call(CallId("call-9")) == []


async def test_spending_is_the_sum_of_the_users_own_outcomes(ledger: Ledger) -> None:
    assert await ledger.spent_nano_usd(ACME, ADA) == 0
    for number, (tenant, user, cost) in enumerate(
        [("acme", "ada", 5), ("acme", "ada", 7), ("acme", "eve", 100), ("globex", "ada", 1_000)]
    ):
        await ledger.append(event("intent", f"a{number}", tenant=tenant, user=user, cost=cost))
        await ledger.append(event("outcome", f"a{number}", tenant=tenant, user=user, cost=cost))
    assert await ledger.spent_nano_usd(ACME, ADA) == 12
    assert await ledger.spent_nano_usd(ACME, EVE) == 100
    assert await ledger.spent_nano_usd(GLOBEX, EVE) == 0


UNWRITABLE: dict[str, Callable[[Database], None]] = {
    "disk full": lambda database: database._connection.pragma("max_page_count", 1),
    "read-only": lambda database: database._connection.pragma("query_only", True),
    "closed": lambda database: database.close(),
}


@pytest.mark.parametrize("breaks", UNWRITABLE.values(), ids=UNWRITABLE)
async def test_a_ledger_that_cannot_write_says_so_and_keeps_what_it_has(
    database_file: Path, clock: FixedClock, breaks: Callable[[Database], None]
) -> None:
    database = Database.open(database_file)
    ledger = Ledger(database, clock, SIGNER)
    await ledger.append(event("intent", "before"))
    breaks(database)
    with pytest.raises(LedgerError, match="nothing goes out unrecorded"):
        await ledger.append(event("intent", "after", padding="x" * 100_000))
    database.close()
    reopened = Database.open(database_file)
    again = Ledger(reopened, clock, SIGNER)
    assert [row.call_id for row in await again.latest(10)] == ["before"]
    await again.append(event("outcome", "before"))
    assert (await again.verify()).holds
    reopened.close()


@pytest.mark.parametrize("detail", [0.5, 2**53, "\ud800", (1,)])
async def test_what_has_no_canonical_form_is_not_written(ledger: Ledger, detail: object) -> None:
    with pytest.raises(LedgerError):
        await ledger.append(event("intent", "a", detail=detail))  # type: ignore[arg-type]
    assert await ledger.latest(10) == []
