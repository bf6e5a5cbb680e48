"""``ledger``: what happened, and whether the record holds."""

import shutil
from pathlib import Path

import apsw
import pytest

from tests.conftest import ROOT
from tests.host.cli.command import Command, error_of

GREET = ("call", "hello", "greet", '{"name": "Ada"}', "--extensions", ROOT / "examples")


def sql(file: Path, statement: str, *arguments: object) -> None:
    connection = apsw.Connection(str(file))
    connection.execute(statement, arguments)
    connection.close()


def test_an_empty_ledger_holds(command: Command) -> None:
    assert "there is no ledger at" in error_of(command("ledger", "verify"))
    assert not command.data_dir.exists(), "asking makes nothing"
    assert command("token", "list").status == 0
    assert command("ledger", "show").text == "The ledger is empty: no call has been made yet.\n"
    assert command("ledger", "show", "--json").json == []
    assert command("ledger", "verify").text.startswith("The ledger holds: 0 rows; chains, one a tenant: 0.\n")
    assert command("ledger", "verify", "--json").json == {
        "holds": True, "rows": 0, "tenants": 0, "open_intents": 0, "findings": [],
    }  # fmt: skip


def test_a_call_leaves_an_intent_and_an_outcome(command: Command) -> None:
    receipt = command(*GREET, "-t", "acme", "-u", "ada").json["receipt"]
    assert command(*GREET, "-t", "globex").status == 0
    intent, outcome = command("ledger", "show", "--tenant", "acme", "--json").json
    assert [row["kind"] for row in (intent, outcome)] == ["intent", "outcome"]
    assert [row["function"] for row in (intent, outcome)] == ["greet", "greet"]
    assert outcome["details"]["outcome"] == "ok"
    assert receipt == {"tenant": "acme", "index": outcome["index"], "hash": outcome["hash"]}
    shown = command("ledger", "show", "--limit", "1").text
    assert "globex/local" in shown
    assert "acme/ada" not in shown
    assert command("ledger", "verify").text.startswith("The ledger holds: 4 rows; chains, one a tenant: 2.\n")


@pytest.fixture(scope="module")
def recorded_once(shared_command: Command) -> Command:
    for _ in range(2):
        assert shared_command(*GREET).status == 0
    assert shared_command("ledger", "verify", "--json").json["rows"] == 4
    return shared_command


@pytest.fixture
def recorded(recorded_once: Command, command: Command) -> Command:
    """Four rows, for each test to spoil."""
    shutil.copytree(recorded_once.place, command.place, dirs_exist_ok=True)
    return command


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        pytest.param('update entry set cost_nano_usd = 7 where "index" = 1', 1, id="a column"),
        pytest.param("update entry set body = cast('nonsense' as blob) where \"index\" = 3", 3, id="no row at all"),
        pytest.param('delete from entry where "index" = 1', 2, id="a row is missing"),
        pytest.param('delete from entry where "index" = 3', 3, id="the last row is missing"),
        pytest.param(
            "update entry set body = cast(replace(cast(body as text), 'greet', 'gruss') as blob) where \"index\" = 2",
            2,
            id="the bytes",
        ),
    ],
)
def test_an_edited_row_is_named(recorded: Command, statement: str, row: int) -> None:
    sql(recorded.database_file, statement)
    done = recorded("ledger", "verify")
    assert (done.status, done.err) == (1, "")
    assert done.out.splitlines()[0].startswith(f"default row {row}: ")
    assert "The ledger does not hold: " in done.out
    as_json = recorded("ledger", "verify", "--json")
    assert as_json.status == 1
    assert '"holds": false' in as_json.out
    assert f'"index": {row},' in as_json.out


@pytest.mark.parametrize("body", [b"nonsense", b"{}", b"[]"])
def test_a_row_that_is_none_cannot_be_shown_and_the_way_on_is_told(recorded: Command, body: bytes) -> None:
    sql(recorded.database_file, 'update entry set body = ? where "index" = 1', body)
    assert "imperal-host ledger verify" in error_of(recorded("ledger", "show"))
    assert recorded("ledger", "verify").status == 1
