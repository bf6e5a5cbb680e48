"""Canonical bytes: RFC 8785 on the domain that has one spelling everywhere."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperal_host.identity import CallId
from imperal_host.ledger.event import body_of, canonical, operation
from tests.host.conftest import event, principal

INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.text(st.characters(max_codepoint=127), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
BODIES = st.dictionaries(NAMES, JSON, max_size=6)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, b"{}"),
        ({"b": 1, "a": 2}, b'{"a":2,"b":1}'),
        ({"a": {"z": None, "y": [True, False]}}, b'{"a":{"y":[true,false],"z":null}}'),
        # By code unit, as in section 3.2.3: digits, capitals, small letters.
        ({"a": 0, "B": 0, "1": 0, "": 0, "a1": 0}, b'{"":0,"1":0,"B":0,"a":0,"a1":0}'),
        ({"n": [0, -1, 9007199254740991, -9007199254740991]}, b'{"n":[0,-1,9007199254740991,-9007199254740991]}'),
        # Section 3.2.2.2: two-letter escapes where there are some, lower-case hexadecimal where there are none,
        # and everything else as it is.
        ({"s": '\b\t\n\f\r"\\/'}, b'{"s":"\\b\\t\\n\\f\\r\\"\\\\/"}'),
        ({"s": "\x00\x0f\x1f\x7f"}, b'{"s":"\\u0000\\u000f\\u001f\x7f"}'),
        ({"s": "\u20ac \u00f6 \u2028 \U0001f600"}, b'{"s":"\xe2\x82\xac \xc3\xb6 \xe2\x80\xa8 \xf0\x9f\x98\x80"}'),
        # Not normalised: two spellings of one letter stay two texts.
        ({"s": "\u00e5A\u030a"}, b'{"s":"\xc3\xa5A\xcc\x8a"}'),
    ],
)
def test_the_bytes_are_those_of_rfc_8785(body: dict[str, Any], expected: bytes) -> None:
    assert canonical(body) == expected


@pytest.mark.parametrize(
    "value",
    [1.0, 0.5, float("nan"), float("inf"), 2**53, -(2**53), 10**30, "\ud800", "a\udfff", (1, 2), {1, 2}, b"bytes", 1j],
)
def test_what_has_no_single_spelling_is_refused_wherever_it_stands(value: Any) -> None:
    for body in ({"a": value}, {"a": [value]}, {"a": {"b": [{"c": value}]}}):
        with pytest.raises(ValueError):  # noqa: PT011
            canonical(body)


@pytest.mark.parametrize("name", ["ö", "\u20ac", "\ud83d", 1, None])
def test_a_member_name_outside_ascii_is_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="not ASCII"):
        canonical({"details": {name: 1}})


@given(body=BODIES)
def test_bytes_do_not_depend_on_the_order_and_come_back_as_the_same_value(body: dict[str, Any]) -> None:
    assert canonical(dict(reversed(body.items()))) == canonical(body)
    assert json.loads(canonical(body)) == body
    assert canonical(json.loads(canonical(body))) == canonical(body)


@given(body=BODIES)
def test_a_second_implementation_writes_the_same_bytes(body: dict[str, Any]) -> None:
    plain = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical(body) == plain.encode()


def test_a_body_names_its_place_and_everything_it_is_about() -> None:
    body = body_of(event("outcome", "a1", cost=7, model="m"), 3, 1_750_000_000_000, boot=4)
    assert canonical(body) == (
        b'{"action":"llm","at_milliseconds":1750000000000,"boot":4,"call_id":"a1","cost_nano_usd":7,'
        b'"details":{"model":"m"},"extension":"summarizer","extension_version":"1.0","format":2,'
        b'"function":"summarize","index":3,"kind":"outcome","parent":null,"tenant":"acme","user":"ada"}'
    )


def test_an_operation_is_one_row_of_its_own() -> None:
    done = operation("key-op", "keys.promote", CallId("k1"), principal("platform", "root"), {"key": "abc"})
    assert (done.kind, done.action, done.scope.principal.user, done.cost_nano_usd) == (
        "key-op",
        "keys.promote",
        "root",
        0,
    )
