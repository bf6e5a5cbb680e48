"""What is wrong with the settings or the files is one line that says what to change."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.host.cli.command import Command, error_of


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("IMPERAL_CALL_SECONDS_MAX", "abc", "IMPERAL_CALL_SECONDS_MAX: Input should be a valid number"),
        ("IMPERAL_CALL_SECONDS_MAX", "0", "IMPERAL_CALL_SECONDS_MAX: Input should be greater than 0"),
        ("IMPERAL_SANDBOX", "off", "IMPERAL_SANDBOX: Input should be 'strict', 'no-namespaces' or 'none'"),
        ("IMPERAL_LOG_LEVEL", "loud", "IMPERAL_LOG_LEVEL: Input should be"),
        ("IMPERAL_USER_BUDGET_NANO_USD", "-1", "IMPERAL_USER_BUDGET_NANO_USD: Input should be"),
        ("IMPERAL_PRIVATE_NETWORKS", "nowhere", "IMPERAL_PRIVATE_NETWORKS: Input is not a valid"),
        ("IMPERAL_PRIVATE_NETWORKS", "10.0.0.0/8, 10.1", "IMPERAL_PRIVATE_NETWORKS: Input is not a valid"),
    ],
)
def test_a_wrong_setting_is_named(command: Command, variable: str, value: str, message: str) -> None:
    assert error_of(command.having(**{variable: value})("token", "list")).startswith(message)


def test_a_private_network_that_the_operator_names_is_allowed(command: Command) -> None:
    own = ("llm", "set", "custom", "m", "--base-url", "http://10.0.0.1/v1", "--no-key")
    assert command.having(IMPERAL_PRIVATE_NETWORKS="fd00::/8, 10.0.0.0/8")(*own).status == 0
    assert "IMPERAL_PRIVATE_NETWORKS" in error_of(command(*own))


def a_file(command: Command) -> Path:
    file = command.place / "regular"
    file.write_text("in the way", encoding="utf-8")
    return file


def test_a_data_directory_that_cannot_be_made(command: Command) -> None:
    place = a_file(command) / "data"
    message = error_of(command.having(IMPERAL_DATA_DIR=place)("token", "list"))
    assert message.startswith(f"the data directory {place} cannot be made: Not a directory")
    assert "IMPERAL_DATA_DIR" in message


def test_a_database_that_cannot_be_opened(command: Command) -> None:
    command.database_file.mkdir(parents=True)
    assert "IMPERAL_DATA_DIR" in error_of(command("token", "list"))


def test_a_kek_file_that_cannot_be_made(command: Command) -> None:
    message = error_of(command.having(IMPERAL_KEK_FILE=a_file(command) / "kek")("token", "list"))
    assert "IMPERAL_KEK_FILE" in message


def test_a_kek_file_beside_the_data_it_protects(command: Command) -> None:
    message = error_of(command.having(IMPERAL_KEK_FILE=command.data_dir / "kek")("token", "list"))
    assert "lies inside the data directory" in message
    assert not (command.data_dir / "kek").exists()


def replaced(file: Path) -> None:
    file.write_text("ab" * 32, encoding="ascii")


def opened_to_others(file: Path) -> None:
    file.chmod(0o644)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (replaced, "is not the one that sealed the data"),
        (Path.unlink, "is missing, and the data"),
        (opened_to_others, "can be read by others; run: chmod 600"),
        (lambda file: file.write_text("short"), "does not hold 32 bytes in hexadecimal"),
        (lambda file: file.write_bytes(b"\xff" * 64), "cannot be read"),
    ],
    ids=["replaced", "missing", "readable by others", "too short", "not text"],
)
def test_a_kek_that_is_not_the_right_one(command: Command, damage: Callable[[Path], object], message: str) -> None:
    assert command("llm", "set", "openai", "m", "--key-stdin", stdin="sk-x").status == 0
    damage(command.kek_file)
    assert message in error_of(command("llm", "show"))


def test_a_database_that_is_none(command: Command) -> None:
    command.data_dir.mkdir()
    command.database_file.write_bytes(b"not a database, but long enough to have a header" * 100)
    assert "is damaged" in error_of(command("llm", "show"))


def test_the_state_of_the_embedded_model(command: Command, cache_dir: Path) -> None:
    assert error_of(command("model", "status")) == "not installed; run: imperal-host model pull"
    installed = command.having(IMPERAL_CACHE_DIR=cache_dir)
    assert installed("model", "status").text.startswith(f"SmolLM2-135M-Instruct: {cache_dir}")
    assert installed("model", "pull").text.endswith("is complete and checked.\n")


def test_the_keys_and_the_data_are_the_owners_alone(command: Command) -> None:
    assert command("token", "list").status == 0
    assert [path.stat().st_mode & 0o777 for path in (command.kek_file, command.data_dir)] == [0o600, 0o700]
