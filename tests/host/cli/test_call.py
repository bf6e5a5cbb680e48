"""``extensions`` and ``call``."""

import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import FIXTURES, ROOT
from tests.host.cli.command import Ask, Command, Done, each, error_of

HELLO = ("--extensions", ROOT / "examples")
PROBE = ("--extensions", FIXTURES / "extensions")

REFUSED: dict[str, tuple[Ask, str]] = {
    "an unknown extension": (Ask(("call", "nobody", "f", *HELLO)), "there is no extension 'nobody'"),
    "an unknown function": (Ask(("call", "hello", "nothing", *HELLO)), "it has: greet, forget"),
    "a missing argument": (Ask(("call", "hello", "greet", *HELLO)), "name: Field required"),
    "a wrong argument": (Ask(("call", "hello", "greet", '{"name": ""}', *HELLO)), "at least 1 character"),
    "not JSON": (Ask(("call", "hello", "greet", '{"name"', *HELLO)), "the arguments are not JSON"),
    "not JSON from standard input": (Ask(("call", "hello", "greet", "-", *HELLO), "]"), "the arguments are not JSON"),
    "JSON too deep": (Ask(("call", "hello", "greet", "-", *HELLO), "[" * 100_000), "the arguments are not JSON"),
    "not an object": (Ask(("call", "hello", "greet", '["Ada"]', *HELLO)), "the arguments are a JSON object"),
    "not confirmed": (Ask(("call", "hello", "forget", *HELLO)), "add --confirmed"),
    "a bad tenant": (Ask(("call", "hello", "greet", "--tenant", "~platform", *HELLO)), "tenant '~platform'"),
    "a bad user": (Ask(("call", "hello", "greet", "--user", "a b", *HELLO)), "user 'a b'"),
    "an error in two lines": (Ask(("call", "probe", "raises", *PROBE)), "ValueError: a mistake in two lines"),
    "a crash": (Ask(("call", "probe", "crashes", *PROBE)), "it crashed"),
    "a deadline": (Ask(("call", "probe", "hangs", *PROBE), variables={"IMPERAL_CALL_SECONDS_MAX": 1}), "within 1 s"),
    "no model": (Ask(("call", "probe", "asks", '{"text": "hi"}', *PROBE)), "imperal-host model pull"),
}


@pytest.fixture(scope="module")
def refused(shared_command: Command) -> dict[str, Done]:
    return each(shared_command, {name: ask for name, (ask, _) in REFUSED.items()})


@pytest.mark.parametrize("name", REFUSED)
def test_a_call_that_is_refused_is_one_line(refused: dict[str, Done], name: str) -> None:
    assert REFUSED[name][1] in error_of(refused[name])


@pytest.mark.parametrize(("argument", "stdin"), [('{"name": "Ada"}', ""), ("-", '{"name": "Ada"}\n')])
def test_a_call_prints_its_answer_as_json(command: Command, argument: str, stdin: str) -> None:
    answer = command("call", "hello", "greet", argument, *HELLO, "--user", "ada", stdin=stdin).json
    assert answer["status"] == "success"
    assert answer["data"] == {"text": "Hello, Ada. I am ada's."}
    assert (answer["receipt"]["tenant"], answer["receipt"]["index"]) == ("default", 1)
    assert answer["usage"]["cost_nano_usd"] == 0


def test_a_destructive_function_runs_when_it_is_confirmed(command: Command) -> None:
    assert command("call", "hello", "forget", "--confirmed", *HELLO).json["data"] == {"forgotten": True}


def test_an_answer_that_is_an_error_is_printed_and_has_status_1(command: Command) -> None:
    done = command("call", "probe", "report_error", *PROBE)
    assert (done.status, done.err) == (1, "")
    assert '"error": "no such note"' in done.out


def test_the_models_answer_is_priced(command_with_model: Command) -> None:
    answer = command_with_model("call", "probe", "asks", '{"text": "hi"}', *PROBE).json
    assert answer["usage"]["cost_nano_usd"] > 0
    assert answer["usage"]["provider"] == "local"


def test_all_extensions_are_listed_and_why_others_are_not(command: Command) -> None:
    folder = command.place / "extensions"
    shutil.copytree(ROOT / "examples" / "hello", folder / "hello")
    (folder / "broken").mkdir()
    (folder / "broken" / "main.py").write_text("1 / 0", encoding="utf-8")
    (folder / "no_extension").mkdir()
    shown = command("extensions", "-e", folder).text
    assert "hello 1.0.0" in shown
    assert "broken is not loaded: " in shown
    assert "ZeroDivisionError" in shown
    found = command("extensions", "-e", folder, "--json").json
    assert [manifest["app_id"] for manifest in found["extensions"]] == ["hello", "rewriter", "summarizer"]
    assert list(found["failures"]) == ["broken"]


def test_a_folder_that_is_not_there_is_told_at_once(command: Command) -> None:
    done = command("extensions", "-e", command.place / "nowhere")
    assert done.status == 2
    assert "'--extensions'" in done.err
    assert "does not exist" in done.err


def installation_without_extensions(place: Path) -> Path:
    """A folder with everything that is installed here, but for the bundled extensions."""
    packages = place / "site-packages"
    packages.mkdir()
    for path in Path(site.getsitepackages()[0]).iterdir():
        if not path.name.startswith(("imperal_ext_", "__editable__")):
            (packages / path.name).symlink_to(path)
    return packages


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ((), "No extensions. Install one (imperal-host extension add), or use --extensions DIR.\n"),
        (("--json",), '{\n  "extensions": [],\n  "failures": {}\n}\n'),
    ],
)
def test_where_none_is_installed_it_says_how_to_get_one(
    command: Command, option: tuple[str, ...], expected: str
) -> None:
    program = "import sys; sys.path += sys.argv.pop(1).split(':'); from imperal_host.cli.main import main; main()"
    search = f"{installation_without_extensions(command.place)}:{ROOT}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, search, "extensions", *option],
        env=command.environment,
        cwd=command.place,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", expected)
