"""Whatever somebody does to the stored rows, ``verify`` says so; and it says nothing about rows that hold."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperal_host.ledger.event import GENESIS, body_of, canonical, hash_of
from imperal_host.ledger.ledger import Ledger
from imperal_host.ledger.store import Entry, Head
from imperal_host.ledger.verify import FINDINGS_MAX, Report, verify_chain
from tests.host.conftest import event, sql
from tests.host.ledger.conftest import Filled

Chain = list[Entry]


def entry_of(kind: str, call: str, index: int, previous: bytes, tenant: str = "acme", cost: int = 0) -> Entry:
    body = canonical(body_of(event(kind, call, tenant=tenant, cost=cost), index, previous, 1_000 + index))
    return Entry(tenant, index, call, None, kind, 1_000 + index, "ada", cost, body, hash_of(body))


def chain_of(*rows: tuple[str, str], tenant: str = "acme") -> Chain:
    chain: Chain = []
    for index, (kind, call) in enumerate(rows):
        chain.append(entry_of(kind, call, index, chain[-1].hash if chain else GENESIS, tenant))
    return chain


def six() -> Chain:
    return chain_of(*((kind, call) for call in ("a", "b", "c") for kind in ("intent", "outcome")))


def verdict(chain: Chain, heads: list[Head] | None = None) -> Report:
    tails = {entry.tenant: Head(entry.tenant, entry.index + 1, entry.hash) for entry in six()}
    return verify_chain(heads if heads is not None else list(tails.values()), chain, lambda _: None)


def problems(report: Report) -> str:
    return " | ".join(f"{finding.index}: {finding.problem}" for finding in report.findings)


def edited(entry: Entry, **changes: object) -> Entry:
    """The body edited and its own hash rebuilt: a careful forger's row."""
    body = orjson.dumps({**entry.content, **changes}, option=orjson.OPT_SORT_KEYS)
    return replace(entry, body=body, hash=hash_of(body))


def with_row(index: int, change: Callable[[Entry], Entry]) -> Chain:
    chain = six()
    chain[index] = change(chain[index])
    return chain


def test_an_untouched_chain_holds() -> None:
    report = verdict(six())
    assert report == Report(6, 1, 0, ())
    assert report.holds


def test_no_rows_and_no_heads_hold() -> None:
    assert verdict([], []).holds


def test_an_intent_without_an_outcome_is_counted_and_is_no_finding() -> None:
    chain = chain_of(("intent", "a"), ("outcome", "a"), ("intent", "b"))
    report = verdict(chain, [Head("acme", 3, chain[-1].hash)])
    assert (report.holds, report.open_intents) == (True, 1)


FORGERIES: dict[str, tuple[Callable[[], Chain], str]] = {
    "edited body": (
        lambda: with_row(2, lambda e: replace(e, body=e.body.replace(b'"ada"', b'"eve"'))),
        "2: the row was changed",
    ),
    "edited body and its hash": (lambda: with_row(2, lambda e: edited(e, extension="other")), "3: the row does not fo"),
    "edited last row and its hash": (lambda: with_row(5, lambda e: edited(e, extension="other")), "6: the chain ends"),
    "edited hash": (lambda: with_row(2, lambda e: replace(e, hash=bytes(32))), "2: the row was changed"),
    "edited column user": (lambda: with_row(1, lambda e: replace(e, user="eve")), "1: column user differs"),
    "edited column cost": (lambda: with_row(1, lambda e: replace(e, cost_nano_usd=1)), "1: column cost_nano_usd"),
    "edited column call": (lambda: with_row(1, lambda e: replace(e, call_id="b")), "1: column call_id"),
    "edited column time": (lambda: with_row(1, lambda e: replace(e, at_milliseconds=0)), "1: column at_millisecond"),
    "edited column kind": (lambda: with_row(1, lambda e: replace(e, kind="intent")), "1: column kind differs"),
    "dropped first row": (lambda: six()[1:], "1: rows 0 to 0 are missing"),
    "dropped middle rows": (lambda: six()[:2] + six()[4:], "4: rows 2 to 3 are missing"),
    "dropped row, others moved up": (
        lambda: six()[:2] + [edited(replace(e, index=e.index - 2), index=e.index - 2) for e in six()[4:]],
        "2: the row does not follow",
    ),
    "inserted row": (
        lambda: [*six()[:2], entry_of("intent", "x", 2, six()[1].hash), *six()[2:]],
        "2: a row stands twice",
    ),
    "swapped rows": (lambda: [six()[i] for i in (0, 1, 4, 5, 2, 3)], "4: rows 2 to 3 are missing"),
    "swapped contents": (
        lambda: [*six()[:2], replace(six()[4], index=2), six()[3], replace(six()[2], index=4), six()[5]],
        "2: column index differs",
    ),
    "duplicate": (lambda: [*six(), six()[5]], "5: a row stands twice"),
    "truncated tail": (lambda: six()[:4], "4: the chain ends at 4 rows, its head says 6"),
    "everything gone": (list, "0: the chain ends at 0 rows, its head says 6"),
    "outcome without intent": (lambda: chain_of(("outcome", "a")), "0: an outcome without an intent"),
    "outcome before its intent": (lambda: chain_of(("outcome", "a"), ("intent", "a")), "0: an outcome without an int"),
    "two outcomes": (
        lambda: chain_of(("intent", "a"), ("outcome", "a"), ("outcome", "a")),
        "2: a second outcome of call a",
    ),
    "two intents": (lambda: chain_of(("intent", "a"), ("intent", "a")), "1: a second intent of call a"),
    "spaces between": (
        lambda: with_row(3, lambda e: replace(e, body=e.body.replace(b",", b", "))),
        "3: the bytes are not canonical",
    ),
    "a member twice": (
        lambda: with_row(3, lambda e: replace(e, body=b'{"user":"eve",' + e.body[1:])),
        "3: the bytes are not canonical",
    ),
    "a float": (lambda: with_row(3, lambda e: edited(e, cost_nano_usd=0.5)), "3: the bytes are not a row"),
    "not JSON": (lambda: with_row(3, lambda e: replace(e, body=b"\xff")), "3: the bytes are not a row"),
    "a list": (lambda: with_row(3, lambda e: replace(e, body=b"[]")), "3: the bytes are not a row"),
    "a number": (lambda: with_row(3, lambda e: replace(e, body=b"7")), "3: the bytes are not a row"),
    "nothing": (lambda: with_row(3, lambda e: replace(e, body=b"")), "3: the bytes are not a row"),
    "a nest": (
        lambda: with_row(3, lambda e: replace(e, body=b"[" * 1_000 + b"]" * 1_000)),
        "3: the bytes are not a row",
    ),
}


@pytest.mark.parametrize(("forge", "said"), FORGERIES.values(), ids=FORGERIES)
def test_a_forgery_is_found(forge: Callable[[], Chain], said: str) -> None:
    report = verdict(forge())
    assert not report.holds
    assert said in problems(report)


def test_a_row_that_was_moved_to_another_tenant_is_found() -> None:
    moved = [replace(entry, tenant="globex") for entry in six()]
    report = verdict(moved, [Head("globex", 6, moved[-1].hash)])
    assert "column tenant differs" in problems(report)


def test_an_outcome_in_another_tenants_chain_is_no_outcome_of_the_intent() -> None:
    chains = [*chain_of(("intent", "a")), *chain_of(("outcome", "a"), tenant="globex")]
    report = verdict(chains, [Head(entry.tenant, 1, entry.hash) for entry in chains])
    assert "an outcome without an intent" in problems(report)


def test_a_missing_head_is_found() -> None:
    assert "its head says 0" in problems(verdict(six(), []))


def test_findings_are_bounded() -> None:
    forged = [replace(entry_of("intent", f"a{i}", i, GENESIS), hash=bytes(32)) for i in range(FINDINGS_MAX * 2)]
    assert len(verdict(forged).findings) == FINDINGS_MAX


@given(
    row=st.integers(0, 5),
    at=st.integers(0),
    change=st.integers(1, 255),
    column=st.sampled_from(["body", "hash"]),
)
def test_any_changed_byte_is_found(row: int, at: int, change: int, column: str) -> None:
    def flip(entry: Entry) -> Entry:
        value = bytearray(getattr(entry, column))
        value[at % len(value)] ^= change
        return replace(entry, **{column: bytes(value)})

    assert not verdict(with_row(row, flip)).holds


@given(st.permutations(range(6)).filter(lambda order: order != list(range(6))))
def test_any_other_order_is_found(order: list[int]) -> None:
    assert not verdict([six()[i] for i in order]).holds


@given(st.sets(st.integers(0, 5), max_size=5))
def test_any_missing_row_is_found(kept: set[int]) -> None:
    assert not verdict([entry for entry in six() if entry.index in kept]).holds


ON_DISK = {
    "edited column": ('update entry set cost_nano_usd = 5 where "index" = 3', "column cost_nano_usd differs"),
    "edited body": ("update entry set body = cast('{}' as blob) where \"index\" = 3", "the row was changed"),
    "dropped row": ('delete from entry where "index" = 3', "rows 3 to 3 are missing"),
    "dropped tail": ('delete from entry where "index" > 3', "the chain ends at 4 rows, its head says 6"),
    "dropped head": ("delete from head", "its head says 0"),
    "another tenant": ("update entry set tenant = 'globex' where \"index\" = 3", "column tenant differs"),
    "a negative index": ('update entry set "index" = -1 where "index" = 0', "column index differs"),
    "an empty tenant": ("update entry set tenant = '' where \"index\" = 0", "column tenant differs"),
}


@pytest.mark.parametrize(("statement", "said"), ON_DISK.values(), ids=ON_DISK)
async def test_a_forgery_in_the_file_is_found(filled: Filled, database_file: Path, statement: str, said: str) -> None:
    ledger = await filled(3)
    assert (await ledger.verify()).holds
    sql(database_file, statement)
    assert said in problems(await ledger.verify())


async def test_every_row_is_looked_at_and_told(filled: Filled) -> None:
    ledger: Ledger = await filled(5)
    seen: list[int] = []
    assert (await ledger.verify(seen.append)).rows == 10
    assert seen == list(range(1, 11))
