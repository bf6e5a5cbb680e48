"""The tampering matrix: whatever is done to an export that its host has signed, the verifier says so."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperal_host.ledger.event import body_of
from imperal_host.ledger.merkle import append
from imperal_host.verify.export import header, verify_export
from imperal_host.verify.merkle import Range, leaf_hash
from imperal_host.verify.note import NotProvenError, open_checkpoint
from imperal_host.verify.record import Head
from imperal_host.verify.rows import FINDINGS_MAX, Report, canonical
from tests.host.conftest import SIGNER, event

SIX = tuple((kind, call) for call in ("a", "b", "c") for kind in ("intent", "outcome"))


def exported(*rows: tuple[str, str], tenants: int = 2, rows_a_commit: int = 2) -> list[bytes]:
    """What an honest host writes that has these rows, for each tenant."""
    names = [f"t{number}" for number in range(tenants)]
    log, heads, bodies = Range(), [], []
    for name in names:
        tree = Range()
        for index, (kind, call) in enumerate(rows):
            body = canonical(body_of(event(kind, call, tenant=name), index, 1_000 + index))  # type: ignore[arg-type]
            bodies.append(body)
            append(tree, leaf_hash(body))
            if tree.size % rows_a_commit == 0 or tree.size == len(rows):
                heads.append(Head(name, tree.size, tree.root))
                append(log, heads[-1].leaf)
    note = SIGNER.checkpoint(log.size, log.root) if heads else None
    return [header(len(heads), len(bodies), note), *(head.body for head in heads), *bodies]


def report_of(lines: list[bytes]) -> Report:
    return verify_export((line + b"\n" for line in lines), SIGNER.key)


def found(lines: list[bytes]) -> str:
    """What is wrong, or nothing."""
    try:
        report = report_of(lines)
    except NotProvenError as error:
        return str(error)
    return " | ".join(f"{f.tenant} {f.index}: {f.problem}" for f in report.findings)


def edited(line: bytes, **changes: Any) -> bytes:
    return canonical({**orjson.loads(line), **changes})


WHOLE = exported(*SIX)
FIRST = 7  # after the header and six heads


def with_line(at: int, change: Callable[[bytes], bytes]) -> list[bytes]:
    return [change(line) if number == at else line for number, line in enumerate(WHOLE)]


def resigned(lines: list[bytes]) -> list[bytes]:
    """All rebuilt by somebody who has not the host's key, but signs with one of that name."""
    note = orjson.loads(lines[0])["checkpoint"].replace("\n6\n", "\n5\n")
    return [edited(lines[0], heads=5, checkpoint=note), *lines[1:6], *lines[FIRST:-2]]


MATRIX: dict[str, tuple[list[bytes], str]] = {
    "an edited row": (with_line(FIRST + 2, lambda line: edited(line, user="eve")), "t0 3: rows 2 to 3 are not"),
    "an edited last row": (with_line(FIRST + 11, lambda line: edited(line, user="eve")), "t1 5: rows 4 to 5 are not"),
    "a dropped row": (WHOLE[:-3] + WHOLE[-2:], "t1 4: rows 3 to 3 are missing"),
    "a dropped row, others moved up": (
        [*WHOLE[:-3], *(edited(line, index=n + 3) for n, line in enumerate(WHOLE[-2:]))],
        "rows 2 to 3 are not those that were signed",
    ),
    "an inserted row": ([*WHOLE[:FIRST], edited(WHOLE[FIRST], call_id="x"), *WHOLE[FIRST:]], "a row stands twice"),
    "reordered rows": ([*WHOLE[:-2], WHOLE[-1], WHOLE[-2]], "t1 5: rows 4 to 4 are missing"),
    "a duplicated row": ([*WHOLE, WHOLE[-1]], "t1 5: a row stands twice"),
    "a truncated tail": (WHOLE[:-1], "t1 5: the tail is cut off: 5 rows, and 6 were signed"),
    "a tenant that is missing": (WHOLE[:-6], "t1 0: all 6 rows are missing"),
    "an unsigned tail": ([*WHOLE, edited(WHOLE[-2], index=6, call_id="x")], "rows 6 to 6 are not signed"),
    "a tenant that was never signed": ([*WHOLE, edited(WHOLE[-6], tenant="t2")], "t2 0: rows 0 to 0 are not signed"),
    "tenants mixed": ([*WHOLE[:-1], edited(WHOLE[-6], tenant="t0"), WHOLE[-1]], "t1 5: the tail is cut off"),
    "a head too few": ([edited(WHOLE[0], heads=5), *WHOLE[1:6], *WHOLE[FIRST:]], "the heads log ends at 5"),
    "a head edited": (with_line(2, lambda line: edited(line, root="00" * 32)), "the heads log was rebuilt"),
    "heads reordered": ([WHOLE[0], WHOLE[2], WHOLE[1], *WHOLE[3:]], "the heads log was rebuilt"),
    "rebuilt and signed with nobody's key": (resigned(WHOLE), "the signature of"),
    "no checkpoint": ([edited(WHOLE[0], checkpoint=None), *WHOLE[1:]], "heads 0 to 5 are not signed"),
    "no signature": (
        [edited(WHOLE[0], checkpoint=orjson.loads(WHOLE[0])["checkpoint"].split("\n\n")[0] + "\n"), *WHOLE[1:]],
        "the note is not signed",
    ),
    "spaces": (with_line(FIRST, lambda line: line.replace(b",", b", ")), "the bytes are not canonical"),
    "a member twice": (with_line(FIRST, lambda line: b'{"user":"eve",' + line[1:]), "the bytes are not canonical"),
    "not JSON": (with_line(FIRST, lambda line: b"\xff"), "the bytes are not a row"),
    "a nest": (with_line(FIRST, lambda line: b"[" * 5_000 + b"]" * 5_000), "the bytes are not a row"),
    "an index that is none": (with_line(FIRST, lambda line: edited(line, index="0")), "the bytes are not a row"),
    "another format": (with_line(FIRST, lambda line: edited(line, format=9)), "the bytes are not a row"),
    "no export": ([b"{}"], "this is not an export"),
    "nothing": ([], "this is not an export"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "said"), MATRIX.values(), ids=MATRIX)
def test_tampering_is_found(lines: list[bytes], said: str) -> None:
    assert said in found(lines)


# What the host itself has signed, and should not have written.
LIVES: dict[str, tuple[list[tuple[str, str]], str]] = {
    "an outcome without an intent": ([("outcome", "a")], "an outcome without an intent: call a"),
    "an outcome before its intent": ([("outcome", "a"), ("intent", "a")], "an outcome without an intent"),
    "two outcomes": ([("intent", "a"), ("outcome", "a"), ("outcome", "a")], "no outcome may follow: call a is ended"),
    "two intents": ([("intent", "a"), ("intent", "a")], "no intent may follow: call a is open"),
    "an intent after the end": ([*SIX, ("intent", "a")], "no intent may follow: call a is ended"),
    "two ends": ([("intent", "a"), ("outcome", "a"), ("unresolved", "a")], "no unresolved may follow"),
    "a correction of nothing": ([("intent", "a"), ("outcome", "a"), ("correction", "a")], "no correction may follow"),
    "a correction of nobody": ([("correction", "a")], "a correction without an intent"),
    "two corrections": (
        [("intent", "a"), ("unresolved", "a"), ("correction", "a"), ("correction", "a")],
        "no correction may follow: call a is corrected",
    ),
    "an operation that ends": ([("key-op", "k"), ("outcome", "k")], "no outcome may follow"),
    "a kind that is none": ([("opinion", "a")], "a row of no known kind: opinion"),
}


@pytest.mark.parametrize(("rows", "said"), LIVES.values(), ids=LIVES)
def test_a_life_that_cannot_be_is_found(rows: list[tuple[str, str]], said: str) -> None:
    assert said in found(exported(*rows))


def test_what_holds_holds() -> None:
    assert report_of(WHOLE) == Report(12, 2, 0, (), 6)
    assert report_of(exported()).holds
    lives = exported(*SIX, ("intent", "d"), ("unresolved", "d"), ("correction", "d"), ("key-op", "k"), ("intent", "e"))
    assert report_of(lives) == Report(22, 2, 2, (), 12)


def test_a_checkpoint_that_was_kept_tells_of_a_rebuilt_or_older_record() -> None:
    kept = open_checkpoint(orjson.loads(WHOLE[0])["checkpoint"], SIGNER.key)
    longer = exported(*SIX, ("intent", "d"), tenants=2)
    for other in (exported(*SIX[:4]), longer, exported(*SIX, tenants=1)):
        assert report_of(other).holds
        assert not verify_export(other, SIGNER.key, [kept]).holds
    same = verify_export(WHOLE, SIGNER.key, [kept])
    assert (same.holds, same.is_witnessed) == (True, True)


def test_findings_are_bounded() -> None:
    lines = exported(*[("outcome", f"a{number}") for number in range(FINDINGS_MAX * 2)])
    assert len(report_of(lines).findings) == FINDINGS_MAX


@given(line=st.integers(1, len(WHOLE) - 1), at=st.integers(0), change=st.integers(1, 255))
def test_any_changed_byte_is_found(line: int, at: int, change: int) -> None:
    def flip(text: bytes) -> bytes:
        raw = bytearray(text)
        raw[at % len(raw)] ^= change
        return bytes(raw)

    assert found(with_line(line, flip))


@given(st.permutations(range(FIRST, len(WHOLE))).filter(lambda order: order != sorted(order)))
def test_any_other_order_is_found(order: list[int]) -> None:
    # Whole tenants may stand in any order: nothing is said by it.
    if order not in ([*range(13, 19), *range(7, 13)],):
        assert found([*WHOLE[:FIRST], *(WHOLE[at] for at in order)])


@given(st.sets(st.integers(1, len(WHOLE) - 1), max_size=len(WHOLE) - 2))
def test_any_missing_line_is_found(kept: set[int]) -> None:
    assert found([WHOLE[0], *(WHOLE[at] for at in sorted(kept))])
