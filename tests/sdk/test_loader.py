"""Loading an extension: whatever is wrong with it, its author reads one line that says so."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imperal_sdk.manifest import FunctionManifest
from imperal_sdk.worker.loader import LoadError, load, manifest_of

Write = Callable[[str], str]

HEAD = """
from pydantic import BaseModel, Field
from imperal_sdk import ChatExtension, Context, Extension
"""
GOOD = (
    HEAD
    + """
ext = Extension(
    "notes", "1.2.3", ["notes.read"], display_name="Notes", description="Keeps notes.", icon="note.svg",
    config_defaults={"limit": 3},
)
chat = ChatExtension(ext)

class Params(BaseModel):
    text: str = Field(description="The note.", min_length=1)

@chat.function("add_note", "Add a note.", action_type="write", event="note.added")
async def add(ctx: Context, params: Params) -> dict[str, str]:
    return {}

@chat.function
async def count(ctx: Context) -> dict[str, int]:
    return {}
"""
)
TWO_FUNCTIONS_OF_ONE_NAME = (
    HEAD
    + """
chat = ChatExtension(Extension("notes"))

@chat.function("same")
async def first(ctx: Context) -> dict[str, str]:
    return {}

@chat.function("same")
async def second(ctx: Context) -> dict[str, str]:
    return {}
"""
)
NO_SCHEMA = (
    HEAD
    + """
from typing import Callable
ext = Extension("notes")
chat = ChatExtension(ext)

class Params(BaseModel):
    hook: Callable[[], None]

@chat.function
async def run(ctx: Context, params: Params) -> dict[str, str]:
    return {}
"""
)
INFINITE_DEFAULT = (
    HEAD
    + """
ext = Extension("notes")
chat = ChatExtension(ext)

class Params(BaseModel):
    limit: float = float("inf")

@chat.function
async def run(ctx: Context, params: Params) -> dict[str, str]:
    return {}
"""
)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module where it can be imported; answers its name."""
    monkeypatch.syspath_prepend(tmp_path)
    name = "an_extension_under_test"

    def write(source: str) -> str:
        (tmp_path / f"{name}.py").write_text(source)
        return name

    yield write
    sys.modules.pop(name, None)


@pytest.mark.parametrize("attribute", ["ext", ""])
def test_a_good_extension_is_loaded_and_described(write: Write, attribute: str) -> None:
    extension = load(write(GOOD), attribute)
    manifest = manifest_of(extension)

    assert set(extension.functions) == {"add_note", "count"}
    assert extension.config_defaults == {"limit": 3}
    assert (manifest.app_id, manifest.version, manifest.capabilities) == ("notes", "1.2.3", ("notes.read",))
    assert (manifest.display_name, manifest.description, manifest.icon) == ("Notes", "Keeps notes.", "note.svg")
    assert manifest.functions == (
        FunctionManifest(
            name="add_note",
            description="Add a note.",
            action_type="write",
            event="note.added",
            parameters={
                "title": "Params",
                "type": "object",
                "properties": {"text": {"title": "Text", "type": "string", "description": "The note.", "minLength": 1}},
                "required": ["text"],
            },
        ),
        FunctionManifest(name="count", parameters={"type": "object", "properties": {}}),
    )


def test_one_extension_under_two_names_is_still_one(write: Write) -> None:
    extension = load(write(HEAD + 'ext = Extension("notes")\nextension = ext\n'), "")

    assert extension.app_id == "notes"


def test_an_attribute_chooses_among_several(write: Write) -> None:
    name = write(HEAD + 'one = Extension("notes-one")\ntwo = Extension("notes-two")\n')

    assert load(name, "two").app_id == "notes-two"


@pytest.mark.parametrize(
    ("source", "attribute", "message"),
    [
        pytest.param(TWO_FUNCTIONS_OF_ONE_NAME, "", "two functions are named 'same'", id="two of one name"),
        pytest.param("", "", "has no Extension at its top level", id="none"),
        pytest.param(
            HEAD + 'one = Extension("notes-one")\ntwo = Extension("notes-two")\n',
            "",
            "has more than one Extension at its top level",
            id="two",
        ),
        pytest.param(GOOD, "absent", ":absent is not an Extension", id="no such attribute"),
        pytest.param(GOOD, "chat", ":chat is not an Extension", id="an attribute of another type"),
        pytest.param("raise SystemExit(3)", "", "failed: SystemExit: 3", id="it exits"),
        pytest.param("raise KeyboardInterrupt", "", "failed: KeyboardInterrupt", id="it is interrupted"),
        pytest.param("import a_module_nobody_has", "", "failed: ModuleNotFoundError", id="it needs another"),
        pytest.param("def broken(:", "", "failed: SyntaxError", id="it is not Python"),
        pytest.param("raise ValueError('a\\nb' * 1_000)", "", "failed: ValueError: a ba b", id="it talks at length"),
        pytest.param("1 / 0", "", "failed: ZeroDivisionError: division by zero", id="it raises"),
        pytest.param(HEAD + "ext = Extension(7)", "", "app_id is a string, not int", id="an id of another type"),
        pytest.param(HEAD + 'ext = Extension("Not An Id")', "", r"app_id: .*\(got 'Not An Id'\)", id="a bad id"),
        pytest.param(HEAD + 'ext = Extension("notes", "one")', "", r"version: .*\(got 'one'\)", id="a bad version"),
        pytest.param(
            HEAD + 'ext = Extension("notes", description=7)', "", "description: .*string", id="a bad description"
        ),
        pytest.param(
            HEAD + 'ext = Extension("notes", capabilities=["x" * 101])', "", r"capabilities\.0: ", id="a bad capability"
        ),
        pytest.param(NO_SCHEMA, "", "the manifest cannot be made: ", id="no JSON Schema"),
        pytest.param(INFINITE_DEFAULT, "", r"functions\.0\.parameters|parameters: ", id="a schema JSON cannot say"),
    ],
)
def test_what_is_wrong_is_said_in_one_short_line(write: Write, source: str, attribute: str, message: str) -> None:
    with pytest.raises(LoadError, match=message) as caught:
        manifest_of(load(write(source), attribute))
    assert len(str(caught.value)) <= 500
    assert "\n" not in str(caught.value)


def test_a_module_that_is_not_there_is_a_load_error() -> None:
    with pytest.raises(LoadError, match="importing a_module_nobody_has failed: ModuleNotFoundError"):
        load("a_module_nobody_has", "")
