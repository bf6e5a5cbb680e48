"""The examples run, and so does the demo that is made of them."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from imperal_host.app import Host
from imperal_host.errors import ConfirmationRequiredError, InvalidError
from imperal_host.identity import Principal, TenantId, UserId
from imperal_host.kernel.dispatch import Call
from tests.conftest import ROOT, host_on, settings_in
from tests.host.cli.command import Command, Done, descendants, processes_of_session, started, still_running

ADA = Principal(TenantId("acme"), UserId("ada"))
EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/main.py"))


@pytest.fixture(scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path, weights: Path) -> AsyncIterator[Host]:
    place = tmp_path_factory.mktemp("examples")
    settings = settings_in(place, cache_dir=cache_dir, extensions_dir=ROOT / "examples")
    async with host_on(settings) as host:
        yield host


async def test_every_example_loads_and_describes_what_it_does(host: Host) -> None:
    assert host.rooms.catalog.failures == {}
    assert EXAMPLES == ["hello", "intruder", "researcher"]
    for name in EXAMPLES:
        manifest = host.rooms.catalog.get(name).manifest
        assert manifest.display_name
        assert manifest.functions
        assert all(function.description for function in manifest.functions)


async def test_hello_greets_whoever_is_named(host: Host) -> None:
    answer = await host.rooms.kernel.dispatch(ADA, Call("hello", "greet", {"name": "Grace"}))
    assert answer.result.data == {"text": "Hello, Grace. I am ada's."}
    assert answer.result.summary == "Greeted."


@pytest.mark.parametrize("arguments", [{}, {"name": ""}, {"name": "x" * 101}, {"name": 3}])
async def test_hello_says_which_argument_is_wrong(host: Host, arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidError) as raised:
        await host.rooms.kernel.dispatch(ADA, Call("hello", "greet", arguments))
    assert [problem.field for problem in raised.value.problems] == ["name"]


async def test_hello_forgets_only_when_that_is_confirmed(host: Host) -> None:
    with pytest.raises(ConfirmationRequiredError) as raised:
        await host.rooms.kernel.dispatch(ADA, Call("hello", "forget", {}))
    assert raised.value.would["function"] == "forget"
    answer = await host.rooms.kernel.dispatch(ADA, Call("hello", "forget", {}, confirmed=True))
    assert answer.result.data == {"forgotten": True}


async def test_the_researcher_writes_with_the_embedded_model_and_says_how_far_it_is(host: Host) -> None:
    reports: list[str] = []
    asked = Call("researcher", "write", {"question": "Say hello."})
    answer = await host.rooms.kernel.dispatch(ADA, asked, progress=lambda percent, message: reports.append(message))
    assert isinstance(answer.result.data, dict)
    assert answer.result.data["text"]
    assert reports
    assert answer.usage.output_tokens > 0


async def test_the_intruder_reports_and_nothing_worked(host: Host) -> None:
    files = [str(host.stores.settings.kek_file), str(host.stores.settings.database_file)]
    assert all(Path(file).is_file() for file in files), "there is something to steal"
    answer = await host.rooms.kernel.dispatch(ADA, Call("intruder", "try_everything", {"files": files}))
    assert isinstance(answer.result.data, dict)
    stopped_by = answer.result.data["stopped_by"]
    assert isinstance(stopped_by, dict)
    assert len(stopped_by) >= 13
    assert not [why for why in stopped_by.values() if "WORKED" in str(why)]


def demo(command: Command) -> tuple[Done, int]:
    """The demo's end, and its session. Its children are asked for once its own model has been started."""
    scratch = command.place / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    with started(command.having(TMPDIR=scratch), "demo") as process:
        assert process.stdout is not None
        out = ""
        children = set()
        for line in process.stdout:
            out += line
            if "is_byollm True" in line:
                children |= descendants(process.pid)
        assert process.stderr is not None
        err = process.stderr.read()
        done = Done(process.wait(timeout=30), out, err)
    assert len(children) >= 4, "two models, and an isolate of two processes"
    assert still_running(children) == set()
    assert list(scratch.iterdir()) == [], "nothing is left on disk"
    return done, process.pid


@pytest.mark.parametrize("run", ["first", "second"])
def test_the_demo_does_the_main_job_and_cleans_up(
    tmp_path_factory: pytest.TempPathFactory, cache_dir: Path, run: str
) -> None:
    place = tmp_path_factory.getbasetemp() / "demo"  # of both runs: the second must not notice the first
    done, session = demo(Command(place, {"IMPERAL_CACHE_DIR": str(cache_dir)}))
    said = done.text
    calls = re.findall(r"^  (\w+) \S+: (\d+)\+(\d+) tokens, is_byollm (\w+), cost ([\d,]+) nano-USD$", said, re.M)
    assert [(provider, is_own) for provider, _, _, is_own, _ in calls] == [
        ("local", "False"),
        ("anthropic", "True"),
        ("anthropic", "True"),
    ]
    cost = [int(nano_usd.replace(",", "")) for *_, nano_usd in calls]
    tokens = [(int(given), int(made)) for _, given, made, _, _ in calls]
    assert cost == [20 * tokens[0][0] + 60 * tokens[0][1], 0, 0]
    assert cost[0] > 0
    assert min(min(pair) for pair in tokens) > 0
    assert "the model's own server reports: temperature 0.4, max_tokens 40" in said
    assert "WORKED" not in said
    assert "ask the host for a key" in said
    assert "The ledger holds: 14 rows; trees, one a tenant: 1." in said
    assert not re.search(r"sk-ada-\w{6,}", said), "of the key no more than its beginning is shown"
    assert processes_of_session(session) == []
    assert sorted(path.name for path in place.iterdir()) == ["scratch"]
