"""``@chat.function``: every way of writing it down, and every declaration that could never be called."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from imperal_sdk import ChatExtension, Context, Extension, ExtensionError
from imperal_sdk.chat import FunctionDef


class Params(BaseModel):
    text: str


async def greet(ctx: Context, params: Params) -> dict[str, str]:
    """Greet somebody.

    At length.
    """
    return {"text": params.text}


@pytest.fixture
def chat() -> ChatExtension:
    return ChatExtension(Extension("test-ext"))


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for source in tmp_path.glob("*.py"):
        sys.modules.pop(source.stem, None)


def only(chat: ChatExtension) -> FunctionDef:
    (function,) = chat.functions.values()
    return function


def test_a_bare_decorator_takes_the_functions_own_name(chat: ChatExtension) -> None:
    assert chat.function(greet) is greet
    assert only(chat).name == "greet"


@pytest.mark.parametrize(
    ("arguments", "keywords", "name"),
    [
        pytest.param((), {}, "greet", id="no name"),
        pytest.param((None,), {}, "greet", id="None"),
        pytest.param(("hello",), {}, "hello", id="positional"),
        pytest.param((), {"name": "hello"}, "hello", id="keyword"),
    ],
)
def test_a_name_may_be_given_or_left_out(
    chat: ChatExtension, arguments: tuple[Any, ...], keywords: dict[str, Any], name: str
) -> None:
    decorated = chat.function(*arguments, **keywords)(greet)

    assert decorated is greet, "the author's function stays what it was"
    assert list(chat.functions) == [name]
    assert chat.ext.functions == chat.functions
    assert only(chat).func is greet
    assert only(chat).params_model is Params


@pytest.mark.parametrize(
    ("arguments", "keywords", "description"),
    [
        pytest.param(("hello", "Say it."), {}, "Say it.", id="positional"),
        pytest.param((), {"description": "Say it."}, "Say it.", id="keyword"),
        pytest.param((), {}, "Greet somebody.\n\nAt length.", id="the docstring, without its indentation"),
    ],
)
def test_a_description_falls_back_to_the_docstring(
    chat: ChatExtension, arguments: tuple[Any, ...], keywords: dict[str, Any], description: str
) -> None:
    chat.function(*arguments, **keywords)(greet)

    assert only(chat).description == description


def test_without_docstring_the_description_is_empty(chat: ChatExtension) -> None:
    @chat.function
    async def silent(ctx: Context) -> dict[str, str]:
        return {}

    assert only(chat).description == ""
    assert only(chat).params_model is None


def test_what_is_declared_is_kept(chat: ChatExtension) -> None:
    chat.function(
        "remove", "Remove it.", action_type="destructive", event="note.gone", effects=["delete:note"], data_model=Params
    )(greet)

    assert only(chat) == FunctionDef("remove", greet, "Remove it.", "destructive", "note.gone", Params, Params)


def test_keywords_of_the_published_sdk_are_accepted() -> None:
    chat = ChatExtension(
        Extension("test-ext"),
        "tool",
        "A tool.",
        system_prompt="You are a tool.",
        model="some-model",
        max_rounds=10,
    )
    chat.function(
        "greet",
        params={},
        chain_callable=True,
        id_projection="text",
        background=False,
        long_running=True,
        inputs=[],
        outputs=[],
        ui_builder=False,
    )(greet)

    assert (chat.tool_name, chat.description) == ("tool", "A tool.")
    assert list(chat.functions) == ["greet"]


@pytest.mark.parametrize("action_type", ["read", "write", "destructive"])
def test_every_action_type_is_accepted(chat: ChatExtension, action_type: Any) -> None:
    chat.function(action_type=action_type)(greet)

    assert only(chat).action_type == action_type


@pytest.mark.parametrize("action_type", ["delete", "", "READ", None])
def test_any_other_action_type_is_refused(chat: ChatExtension, action_type: Any) -> None:
    with pytest.raises(ExtensionError, match="action_type is one of read, write, destructive"):
        chat.function(action_type=action_type)(greet)
    assert chat.functions == {}


def test_two_functions_of_one_name_are_refused(chat: ChatExtension) -> None:
    chat.function("same")(greet)

    with pytest.raises(ExtensionError, match="two functions are named 'same'"):
        chat.function("same")(greet)


def test_names_are_unique_over_all_chats_of_an_extension() -> None:
    ext = Extension("test-ext")
    first, second = ChatExtension(ext, "first"), ChatExtension(ext, "second")
    first.function(greet)

    with pytest.raises(ExtensionError, match="two functions are named 'greet'"):
        second.function(greet)
    second.function("other")(greet)
    assert list(ext.functions) == ["greet", "other"]


def not_async(ctx: Context, params: Params) -> dict[str, str]:
    return {}


async def generator(ctx: Context) -> Any:
    yield {}


async def two_arguments(ctx: Context, params: Params, verbose: bool = False) -> dict[str, str]:
    return {}


async def not_a_model(ctx: Context, params: str) -> dict[str, str]:
    return {}


async def not_annotated(ctx: Context, params) -> dict[str, str]:  # type: ignore[no-untyped-def]
    return {}


async def any_keywords(ctx: Context, **params: Params) -> dict[str, str]:
    return {}


async def keyword_only(ctx: Context, *, params: Params) -> dict[str, str]:
    return {}


async def without_ctx() -> dict[str, str]:
    return {}


async def ctx_by_keyword_only(*, ctx: Context) -> dict[str, str]:
    return {}


async def unresolved(ctx: Context, params: "Unheard") -> dict[str, str]:  # type: ignore[name-defined]  # noqa: F821
    return {}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (not_async, "'async def'"),
        (generator, "'async def'"),
        (two_arguments, "at most one argument"),
        (not_a_model, "annotated with a pydantic model"),
        (not_annotated, "annotated with a pydantic model"),
        (any_keywords, "annotated with a pydantic model"),
        (keyword_only, "annotated with a pydantic model"),
        (without_ctx, "ctx"),
        (ctx_by_keyword_only, "ctx"),
        (unresolved, "annotations do not resolve: name 'Unheard'"),
    ],
)
def test_a_declaration_that_could_never_be_called_is_refused_at_once(
    chat: ChatExtension, function: Any, message: str
) -> None:
    with pytest.raises(ExtensionError, match=message) as caught:
        chat.function(function)
    assert caught.value.app_id == "test-ext"
    assert function.__name__ in str(caught.value)
    assert chat.functions == {}


POSTPONED = """
from __future__ import annotations
from pydantic import BaseModel
from imperal_sdk import ChatExtension, Context, Extension

ext = Extension("postponed")
chat = ChatExtension(ext)

class Later(BaseModel):
    text: str

@chat.function
async def run(ctx: Context, params: Later) -> dict[str, str]:
    return {}
"""


def test_postponed_annotations_are_resolved(importable: Path) -> None:
    (importable / "postponed_ext.py").write_text(POSTPONED)
    module = importlib.import_module("postponed_ext")

    assert module.ext.functions["run"].params_model is module.Later


@pytest.mark.parametrize(
    ("keywords", "wrong"),
    [({"app_id": 7}, "app_id"), ({"version": 1.0}, "version"), ({"display_name": None}, "display_name")],
)
def test_an_extension_of_the_wrong_types_is_refused_at_once(keywords: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ExtensionError, match=f"{wrong} is a string"):
        Extension(**{"app_id": "test-ext", **keywords})
