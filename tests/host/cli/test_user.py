"""``user erase``: what was one user's does not open, and is not in the files, any more."""

from tests.host.cli.command import Command, error_of
from tests.host.conftest import bytes_on_disk, sql

KEY = "sk-ada-0123456789abcdefghijkl"


def test_a_user_is_erased_and_nobody_else(command: Command) -> None:
    for user in ("ada", "eve"):
        command("token", "create", "-t", "acme", "-u", user, "--email", f"{user}@acme.example")
        command("llm", "set", "openai", "gpt-4.1-mini", "--key-stdin", "-t", "acme", "-u", user, stdin=KEY)
    secrets = dict(sql(command.database_file, "select name, sealed from secret"))
    assert set(secrets) == {"llm/user/ada", "llm/user/eve"}
    assert "1 tokens were revoked" in command("user", "erase", "-t", "acme", "-u", "ada", "--yes").text

    assert sql(command.database_file, "select name from secret") == [("llm/user/eve",)]
    tokens = {row["user"]: row["revoked"] for row in command("token", "list", "--json").json}
    assert tokens == {"ada": True, "eve": False}
    left = bytes_on_disk(command.database_file)
    assert b"ada@acme.example" not in left
    assert secrets["llm/user/ada"] not in left
    assert secrets["llm/user/eve"] in left
    assert "0 tokens were revoked" in command("user", "erase", "-t", "acme", "-u", "ada", "--yes").text
    assert sql(command.database_file, "select count(*) from entry where kind = 'key-op'") == [(2,)]


def test_it_asks_first_and_takes_names_only(command: Command) -> None:
    assert command("user", "erase", "-t", "acme", "-u", "ada", stdin="n\n").status == 1
    assert "tenant '~x'" in error_of(command("user", "erase", "-t", "~x", "-u", "ada", "--yes"))
