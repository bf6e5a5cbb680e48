"""A key that comes back is taken out, wherever the answer is cut."""

import json

from hypothesis import given
from hypothesis import strategies as st

from imperal_host.gateway.redaction import REDACTED, Redaction

KEY = "sk-live-0123456789abcdef"


def shown(key: str, pieces: list[bytes]) -> bytes:
    redaction = Redaction(key)
    return b"".join(map(redaction, pieces)) + redaction.rest()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(data) + 1) for place in places)
    return [data[begin:end] for begin, end in zip([0, *ends], [*ends, len(data)], strict=True)]


@given(before=st.binary(max_size=30), after=st.binary(max_size=30), places=st.lists(st.integers(0, 200), max_size=8))
def test_however_it_is_cut(before: bytes, after: bytes, places: list[int]) -> None:
    whole = before + KEY.encode() + after
    assert shown(KEY, cut(whole, places)) == whole.replace(KEY.encode(), REDACTED)


@given(places=st.lists(st.integers(0, 400), max_size=40))
def test_a_key_in_json_is_found_in_each_spelling(places: list[int]) -> None:
    key = 'k/ey"with\\odd/characters&<more>'
    said = json.dumps({"a": key, "b": key[:-1], "c": "sk"}).encode()
    escaped = said.replace(b"/", b"\\/")
    for whole in (said, escaped):
        made = shown(key, cut(whole, places))
        assert made.count(REDACTED) == 1
        assert len(made) == len(whole) - len(json.dumps(key)[1:-1]) - (whole is escaped) * 2 + len(REDACTED)


@given(data=st.lists(st.binary(max_size=20), max_size=10))
def test_without_a_key_nothing_is_held_back(data: list[bytes]) -> None:
    redaction = Redaction("")
    assert [redaction(piece) for piece in data] == data


def test_a_beginning_that_comes_to_nothing_is_let_go() -> None:
    redaction = Redaction(KEY)
    assert redaction(b"it is sk-li") == b"it is "
    assert redaction(b"ly so") == b"sk-lily so"
    assert redaction(b"sk-live") == b""
    assert redaction.rest() == b"sk-live"
