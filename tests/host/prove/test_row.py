"""The rule that judges an attempt: stopped only by the evidence that its row names."""

from collections import Counter
from typing import get_args

import pytest

from imperal_host.prove.row import (
    BROKE_THE_PROTOCOL,
    DEADLINE,
    KILLED_BY_SECCOMP,
    NOT_LOADED,
    TIERS,
    Kind,
    Outcome,
    Row,
    Seen,
    Tier,
    judge,
    token_of,
)
from imperal_host.prove.suite import LOADING, SUITE

ROW = Row("read", "files", "Reads.", {"strict": {"ENOENT": "root", "EACCES": "Landlock"}})
CONTROL = Row("control: read", "files", "Reads.", {"strict": {"worked": "none needed"}}, control=True)
CANARY = "canary-1234"


@pytest.mark.parametrize(
    ("row", "tier", "seen", "outcome", "layer"),
    [
        pytest.param(ROW, "strict", Seen("ENOENT", "no file"), "stopped", "root", id="as the row says"),
        pytest.param(ROW, "strict", Seen("EACCES", "no"), "stopped", "Landlock", id="by the other layer"),
        pytest.param(ROW, "strict", Seen("worked", "read it"), "WORKED", None, id="it worked"),
        pytest.param(ROW, "strict", Seen("EPERM", "no"), "inconclusive", None, id="another errno"),
        pytest.param(ROW, "strict", Seen("NameError", "typo"), "inconclusive", None, id="a mistake in the attempt"),
        pytest.param(ROW, "strict", Seen("done", ""), "inconclusive", None, id="done, and not expected to be"),
        pytest.param(ROW, "strict", Seen("extension.raised", "x"), "inconclusive", None, id="no report"),
        pytest.param(ROW, "strict", Seen(DEADLINE, ""), "inconclusive", None, id="an end of another kind"),
        pytest.param(ROW, "strict", Seen("ENOENT", f"but {CANARY}"), "WORKED", None, id="a secret in the report"),
        pytest.param(ROW, "strict", Seen(CANARY, ""), "WORKED", None, id="a secret in the token"),
        pytest.param(ROW, "strict", Seen("ENOENT", "", ("a bait",)), "WORKED", None, id="something else was touched"),
        pytest.param(
            ROW, "no-namespaces", Seen("worked", "x"), "not promised", None, id="a tier that does not promise"
        ),
        pytest.param(
            ROW, "no-namespaces", Seen("worked", CANARY), "WORKED", None, id="a secret is never promised away"
        ),
        pytest.param(CONTROL, "strict", Seen("worked", ""), "holds", None, id="a control that works"),
        pytest.param(CONTROL, "strict", Seen("ENOENT", ""), "inconclusive", None, id="a control that does not"),
    ],
)
def test_a_report_becomes_a_verdict(row: Row, tier: Tier, seen: Seen, outcome: Outcome, layer: str | None) -> None:
    verdict = judge(row, tier, seen, frozenset({CANARY}))
    assert (verdict.outcome, verdict.layer) == (outcome, layer)
    assert verdict.passes == (outcome in ("stopped", "holds", "not promised"))
    assert CANARY not in verdict.detail


@pytest.mark.parametrize(
    ("message", "token"),
    [
        ("the extension stopped: it made a forbidden system call", KILLED_BY_SECCOMP),
        ("the extension stopped: it broke the protocol: an answer to no call", BROKE_THE_PROTOCOL),
        ("attempt did not answer within 4 s and was stopped", DEADLINE),
        ("something new", NOT_LOADED),
    ],
)
def test_a_sentence_of_the_host_becomes_a_token(message: str, token: str) -> None:
    assert token_of(message) == token


def test_no_two_rows_have_one_name() -> None:
    assert [name for name, count in Counter(row.name for row in SUITE).items() if count > 1] == []


@pytest.mark.parametrize("tier", TIERS)
def test_every_kind_has_a_control(tier: Tier) -> None:
    controlled = {row.kind for row in SUITE if row.control and tier in row.expected}
    assert {row.kind for row in SUITE} == controlled == set(get_args(Kind))


def test_every_row_says_what_it_tries_and_what_may_stop_it() -> None:
    wrong = [row.name for row in SUITE if not row.tries.endswith(".") or "strict" not in row.expected]
    assert wrong == []
    assert [row.name for row in SUITE if not all(row.expected.values())] == []
    assert [row.name for row in SUITE if not row.control and any("worked" in e for e in row.expected.values())] == []
    assert [row.name for row in SUITE if row.name.startswith(LOADING) != row.extension.startswith("load_")] == []
