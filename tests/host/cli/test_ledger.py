"""``ledger``: what happened, and whether the record holds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from imperal_host.ledger.checkpoint import Signer
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
    assert command("ledger", "verify").text.startswith("The ledger holds: 0 rows; trees, one a tenant: 0.\n")
    assert command("ledger", "verify", "--json").json == {
        "holds": True, "rows": 0, "tenants": 0, "open_intents": 0, "findings": [],
        "checkpoint_size": 0, "is_witnessed": False,
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
    assert command("ledger", "verify").text.startswith("The ledger holds: 4 rows; trees, one a tenant: 2.\n")


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


def verify(command: Command, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The separate verifier, which has nothing of the host but what it is given."""
    return subprocess.run(
        [Path(sys.executable).with_name("imperal-verify"), *map(str, arguments)],
        env={"PATH": os.environ["PATH"]},
        cwd=command.place,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_export_and_a_receipt_are_checked_with_the_public_key_alone(recorded: Command) -> None:
    key = recorded("ledger", "key").text.strip()
    call = recorded("ledger", "show", "--json").json[-1]["call_id"]
    assert recorded("ledger", "export", "all.jsonl").status == 0
    (recorded.place / "receipt.json").write_text(recorded("ledger", "receipt", call).text)
    (recorded.place / "kept").write_text(recorded("ledger", "checkpoint").text)

    export = verify(recorded, "export", "--key", key, "all.jsonl")
    assert (export.returncode, export.stdout.splitlines()[0][:27]) == (0, "holds: 4 rows of 1 tenants,")
    assert "cannot be told" in export.stdout
    witnessed = verify(recorded, "export", "--key", key, "--witness", "kept", "all.jsonl")
    assert "It goes on from the kept checkpoint." in witnessed.stdout
    receipt = verify(recorded, "receipt", "--key", key, "receipt.json")
    assert receipt.returncode == 0
    assert call in receipt.stdout

    for file, name in (("all.jsonl", "export"), ("receipt.json", "receipt")):
        path = recorded.place / file
        path.write_text(path.read_text().replace('"greet"', '"other"', 1))
        forged = verify(recorded, name, "--key", key, file)
        assert (forged.returncode, "NOT PROVEN" in forged.stdout) == (1, True)
    other = str(Signer.generate().key)
    assert "not signed by" in verify(recorded, "export", "--key", other, "all.jsonl").stdout
    assert verify(recorded, "receipt", "--key", "nonsense+x", "receipt.json").returncode == 1
    assert verify(recorded, "export", "--key", key, "no-such-file").returncode == 2


def test_a_ledger_that_was_put_back_is_not_opened_where_a_witness_knows_better(command: Command) -> None:
    command.place.mkdir(exist_ok=True)
    witnessed = command.having(IMPERAL_WITNESS_FILE=command.place / "witness")
    assert witnessed(*GREET).status == 0
    shutil.copytree(command.data_dir, command.place / "backup")
    assert witnessed(*GREET).status == 0
    assert "no older than what the witness knows" in witnessed("ledger", "verify").text
    shutil.rmtree(command.data_dir)
    shutil.copytree(command.place / "backup", command.data_dir)

    assert "put back to an older state" in error_of(witnessed(*GREET))
    found = witnessed("ledger", "verify")
    assert (found.status, "the witness's checkpoint is of" in found.out) == (1, True)
    assert command("ledger", "verify").status == 0, "without the witness nobody could tell"


def test_a_lost_key_is_not_replaced(recorded: Command) -> None:
    recorded.kek_file.with_name("kek-ledger").unlink()
    assert "restore it" in error_of(recorded(*GREET))
    assert "IMPERAL_LEDGER_KEY_FILE" in error_of(recorded("ledger", "verify"))


def test_a_key_beside_the_rows_it_signs_is_refused(command: Command) -> None:
    beside = command.having(IMPERAL_LEDGER_KEY_FILE=command.data_dir / "key")
    assert "IMPERAL_LEDGER_KEY_FILE elsewhere" in error_of(beside("token", "list"))
    assert not (command.data_dir / "key").exists()
