"""``ActionResult``. The literal shapes were observed on the published imperal-sdk 6.3.7."""

import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from imperal_sdk import ActionResult
from imperal_sdk.chat.action_result import ActionResult as SecondHome

success, error = ActionResult.success, ActionResult.error


class Note(BaseModel):
    a: int = 1


class Dated(BaseModel):
    on: datetime.date


class Node:
    def to_dict(self) -> dict[str, Any]:
        return {"kind": "text"}


PUBLISHED = [
    (success({"a": 1}, "done"), {"status": "success", "summary": "done", "data": {"a": 1}}),
    (success({"a": 1}, summary="done"), {"status": "success", "summary": "done", "data": {"a": 1}}),
    (success(Note(), "done"), {"status": "success", "summary": "done", "data": {"a": 1}}),
    (error("boom"), {"status": "error", "summary": "", "data": {}, "error": "boom"}),
    (error("boom", True), {"status": "error", "summary": "", "data": {}, "error": "boom", "retryable": True}),
    (
        error("boom", retryable=True, code="X"),
        {"status": "error", "summary": "", "data": {}, "error": "boom", "error_code": "X", "retryable": True},
    ),
    (
        success({}, "s", ui={"t": 1}, refresh_panels=["p"], undo={"u": 1}, diff={"d": 1}, action_receipt="r"),
        {
            "status": "success",
            "summary": "s",
            "data": {},
            "ui": {"t": 1},
            "refresh_panels": ["p"],
            "undo": {"u": 1},
            "diff": {"d": 1},
            "action_receipt": "r",
        },
    ),
    # an empty list is not "all panels": it says "no panel"
    (success({}, "s", refresh_panels=[]), {"status": "success", "summary": "s", "data": {}, "refresh_panels": []}),
    (ActionResult(status="success"), {"status": "success", "summary": "", "data": {}}),
]


@pytest.mark.parametrize(("result", "shape"), PUBLISHED)
def test_the_shape_is_the_published_one(result: ActionResult[Any], shape: dict[str, Any]) -> None:
    assert result.to_dict() == shape


@pytest.mark.parametrize("shape", [shape for _, shape in PUBLISHED])
def test_a_shape_survives_the_way_there_and_back(shape: dict[str, Any]) -> None:
    assert ActionResult.from_dict(shape).to_dict() == shape


@given(
    data=st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.booleans())),
    summary=st.text(),
    refresh_panels=st.none() | st.lists(st.text()),
    undo=st.none() | st.dictionaries(st.text(), st.text()),
    receipt=st.none() | st.text(),
)
def test_a_success_survives_the_way_there_and_back(
    data: dict[str, Any],
    summary: str,
    refresh_panels: list[str] | None,
    undo: dict[str, str] | None,
    receipt: str | None,
) -> None:
    result = success(data, summary, refresh_panels=refresh_panels, undo=undo, action_receipt=receipt)

    assert ActionResult.from_dict(result.to_dict()) == result


@given(message=st.text(), retryable=st.booleans(), code=st.text())
def test_an_error_survives_the_way_there_and_back(message: str, retryable: bool, code: str) -> None:
    result = error(message, retryable, code=code)

    assert ActionResult.from_dict(result.to_dict()) == result


def test_the_summary_may_be_left_out() -> None:
    assert success({"a": 1}).to_dict() == {"status": "success", "summary": "", "data": {"a": 1}}


def test_members_read_as_they_were_given() -> None:
    failed, done = error("boom", code="X"), success(Note(), "done")

    assert (failed.status, failed.error, failed.error_code, failed.data) == ("error", "boom", "X", {})
    assert (done.status, done.error, done.data) == ("success", None, Note())


def test_error_is_a_constructor_on_the_class_and_a_message_on_an_instance() -> None:
    assert callable(ActionResult.error)
    assert ActionResult(status="success").error is None
    assert error("boom").error == "boom"


def test_two_results_do_not_share_their_data() -> None:
    first, second = error("a"), error("b")
    first.data["seen"] = True  # type: ignore[index]

    assert second.data == {}


@pytest.mark.parametrize("body", [{}, {"status": "error"}, {"unheard_of": 1}])
def test_a_body_that_says_nothing_is_an_error(body: dict[str, Any]) -> None:
    assert ActionResult.from_dict(body) == ActionResult(status="error", error=None)


@pytest.mark.parametrize(
    ("data", "plain"),
    [
        pytest.param(Dated(on=datetime.date(2026, 1, 2)), {"on": "2026-01-02"}, id="a model"),
        pytest.param({"note": Note()}, {"note": {"a": 1}}, id="a model in a dict"),
        pytest.param({"notes": [Note(a=1), Note(a=2)]}, {"notes": [{"a": 1}, {"a": 2}]}, id="models in a list"),
        pytest.param({"node": Node()}, {"node": {"kind": "text"}}, id="what has to_dict"),
        pytest.param([1, (2,)], [1, [2]], id="a list"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_data_is_json_ready_however_deep_the_models_lie(data: Any, plain: Any) -> None:
    shape = success(data).to_dict()

    assert shape["data"] == plain
    assert msgspec.json.decode(msgspec.json.encode(shape)) == shape


def test_ui_and_undo_may_be_objects_with_to_dict() -> None:
    shape = success({}, ui=Node(), undo=Node()).to_dict()

    assert shape["ui"] == shape["undo"] == {"kind": "text"}


def test_the_published_second_home_is_the_same_class() -> None:
    assert SecondHome is ActionResult
