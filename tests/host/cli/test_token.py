"""``token``: told once, listed without being told again, revoked for good."""

import asyncio

import pytest

from imperal_host.clock import SystemClock
from imperal_host.errors import UnauthenticatedError
from imperal_host.identity import Principal
from imperal_host.storage.database import Database
from imperal_host.tokens import Tokens
from tests.host.cli.command import Command, error_of


def holder_of(command: Command, token: str) -> Principal:
    """Whom the API would take the bearer for."""
    database = Database.open(command.database_file)
    try:
        return asyncio.run(Tokens(database, SystemClock()).principal(token))
    finally:
        database.close()


def test_a_token_is_told_once_and_works_until_it_is_revoked(command: Command) -> None:
    options = ("-t", "acme", "-u", "ada", "--email", "ada@acme.example", "--admin", "--scope", "a", "--scope", "b")
    token = command("token", "create", *options).text.removesuffix("\n")
    assert token.startswith("imp_")
    assert token.split() == [token]
    holder = holder_of(command, token)
    assert holder == Principal("acme", "ada", "ada@acme.example", "admin", ("a", "b"))  # type: ignore[arg-type]
    [listed] = command("token", "list", "--json").json
    assert listed == {"id": listed["id"], "tenant": "acme", "user": "ada", "role": "admin", "revoked": False}
    assert token not in command("token", "list").text
    assert token[8:].encode() not in command.database_file.read_bytes()

    assert command("token", "revoke", listed["id"]).text == "Revoked.\n"
    with pytest.raises(UnauthenticatedError):
        holder_of(command, token)
    assert [row["revoked"] for row in command("token", "list", "--json").json] == [True]
    assert "revoked" in command("token", "list").text
    assert "no token with id" in error_of(command("token", "revoke", listed["id"]))


def test_without_options_it_is_a_users_token(command: Command) -> None:
    token = command("token", "create").text.removesuffix("\n")
    assert holder_of(command, token) == Principal("default", "local")  # type: ignore[arg-type]


def test_there_are_none_at_first(command: Command) -> None:
    assert command("token", "list").text.startswith("No tokens yet.")
    assert command("token", "list", "--json").json == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("create", "--tenant", "~platform"), "tenant '~platform'"),
        (("create", "--user", ""), "user ''"),
        (("revoke", "[/x]"), "no token with id '[/x]'"),
    ],
)
def test_what_is_not_valid_is_one_line(command: Command, arguments: tuple[str, ...], message: str) -> None:
    assert message in error_of(command("token", *arguments))
