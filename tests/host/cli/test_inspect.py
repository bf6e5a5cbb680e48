"""``inspect``: what an extension says of itself, or in one line why it cannot be loaded."""

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.host.cli.command import Ask, Command, Done, each, error_of

BEGIN = "from imperal_sdk import ChatExtension, Extension\n"
GOOD = BEGIN + "ext = Extension('good', version='1.0.0')\n"
TWICE = (
    BEGIN
    + """
ext = Extension("twice", version="1.0.0")
chat = ChatExtension(ext)

@chat.function
async def same(ctx) -> dict: return {}

@chat.function
async def same(ctx) -> dict: return {}
"""
)
STRANGE = (
    BEGIN
    + """
from pydantic import create_model, Field
ext = Extension("strange", version="1.0.0", display_name="a [/red] \\x1b[31m name")
chat = ChatExtension(ext)
Odd = create_model("Odd", value=(int, Field(alias="[/x]")))

@chat.function(description="[/bold] \\x1b]0;title\\x07")
async def f(ctx, params: Odd) -> dict: return {}
"""
)

FAILURES: dict[str, tuple[str | None, str]] = {
    "a missing folder": (None, "is no extension: it has no main.py"),
    "no main.py": ("", "is no extension: it has no main.py"),
    "a syntax error": ("def (", "SyntaxError: invalid syntax (main.py, line 1)"),
    "bytes that are no text": ("\udcff", "SyntaxError"),
    "two functions of one name": (TWICE, "two functions are named 'same'"),
    "no Extension": ("x = 1", "has no Extension at its top level"),
    "two Extensions": (GOOD + "other = Extension('other', version='1.0.0')", "has more than one Extension"),
    "SystemExit at import": ("raise SystemExit(3)", "SystemExit: 3"),
    "an end at import": ("import os; os._exit(0)", "it ended while it was being loaded"),
    "an endless loop at import": ("while True: pass", "2 s (IMPERAL_LAUNCH_SECONDS_MAX)"),
    "a bad app_id": (BEGIN + "ext = Extension('Bad Id', version='1.0.0')", "'Bad Id'"),
    "a bad version": (BEGIN + "ext = Extension('good', version='one')", "'one'"),
    "a missing module": ("import numpy_is_not_here", "No module named 'numpy_is_not_here'"),
    "the host's code": ("import imperal_host", "No module named 'imperal_host'"),
    "a message in lines and colours": (
        r"raise ValueError('two\nlines [/red] \x1b[31m')",
        "ValueError: two lines [/red]",
    ),
}


@pytest.fixture(scope="module")
def failed(shared_command: Command) -> dict[str, Done]:
    asks = {}
    for number, (name, (source, _)) in enumerate(FAILURES.items()):
        folder = shared_command.place / f"extension_{number}"
        if source is not None:
            write(folder, source)
        limit = {"IMPERAL_LAUNCH_SECONDS_MAX": 2} if "endless" in name else {}
        asks[name] = Ask(("inspect", folder, "--json"), variables=limit)
    return each(shared_command, asks)


def write(folder: Path, source: str) -> Path:
    folder.mkdir()
    if source:
        (folder / "main.py").write_bytes(source.encode("utf-8", "surrogateescape"))
    return folder


@pytest.mark.parametrize("name", FAILURES)
def test_why_it_cannot_be_loaded_is_one_line(failed: dict[str, Done], name: str) -> None:
    assert FAILURES[name][1] in error_of(failed[name])


def test_the_manifest_comes_as_json(command: Command) -> None:
    manifest = command("inspect", ROOT / "examples" / "hello", "--json").json
    assert (manifest["app_id"], manifest["version"], manifest["capabilities"]) == ("hello", "1.0.0", [])
    greet, forget = manifest["functions"]
    assert (greet["name"], greet["action_type"]) == ("greet", "read")
    assert greet["parameters"]["properties"]["name"]["maxLength"] == 100
    assert greet["parameters"]["required"] == ["name"]
    assert (forget["name"], forget["action_type"]) == ("forget", "destructive")
    assert forget["parameters"] == {"type": "object", "properties": {}}


def test_the_manifest_comes_as_a_table(command: Command) -> None:
    shown = command("inspect", ROOT / "examples" / "hello").text
    assert "hello 1.0.0" in shown
    assert "Greet somebody by name." in shown


def test_inspecting_makes_nothing_on_disk(command: Command) -> None:
    assert command("inspect", ROOT / "examples" / "hello").status == 0
    assert list(command.place.iterdir()) == []


def test_an_extension_cannot_write_on_the_terminal(command: Command) -> None:
    folder = write(command.place / "strange", STRANGE)
    shown = command("inspect", folder).text
    assert "[/red]" in shown
    assert "[/bold]" in shown
    assert "[/x]" in shown
    assert not {"\x1b", "\x07"} & set(shown)
    assert command("inspect", folder, "--json").json["display_name"] == "a [/red] \x1b[31m name"
