"""What may leave an isolate: JSON in the shape of an ``ActionResult``, as it was sent, and nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperal_host.errors import ExtensionRaisedError
from imperal_host.kernel.dispatch import _result

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(data=JSON, ui=JSON, diff=JSON)
def test_any_json_comes_out_as_it_went_in(data: Any, ui: Any, diff: Any) -> None:
    result = _result({"status": "success", "data": data, "ui": ui, "diff": diff})
    assert (result.data, result.ui, result.diff) == (data, ui, diff)


def nest(depth: int) -> list[Any]:
    return [nest(depth - 1)] if depth else []


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"status": "fine"},
        {"status": "success", "more": 1},
        {"status": "success", "summary": 5},
        {"status": "success", "retryable": "maybe"},
        {"status": "success", "error_code": "x" * 101},
        {"status": "success", "data": float("nan")},
        {"status": "success", "data": {"deep": [float("inf")]}},
        {"status": "success", "data": b"bytes"},
        {"status": "success", "data": {1, 2}},
        {"status": "success", "undo": object()},
        {"status": "success", "data": nest(900)},
        {"status": "success", "data": "\ud800"},
    ],
)
def test_what_is_no_action_result_is_the_authors_mistake(answer: dict[str, Any]) -> None:
    with pytest.raises(ExtensionRaisedError, match="no ActionResult"):
        _result(answer)


def test_a_value_is_what_json_makes_of_it() -> None:
    assert _result({"status": "success", "data": {1: (2, 3)}}).data == {"1": [2, 3]}
