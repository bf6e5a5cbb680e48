"""``llm``: a key goes in and is never seen again."""

import pytest

from tests.host.cli.command import Ask, Command, Done, each, error_of

KEY = "sk-canary-7d2f40b1a9c3e85566778899aabbccdd"
# What a provider's own console shows of a key, and no more.
SHOWN = 8

INVALID: dict[str, tuple[Ask, str]] = {
    "an unknown provider": (Ask(("llm", "set", "nobody", "m", "--no-key")), "provider: one of anthropic, "),
    "no key where one is needed": (Ask(("llm", "set", "openai", "m", "--no-key")), "api_key: this provider needs"),
    "an empty key": (Ask(("llm", "set", "openai", "m", "--key-stdin"), "\n"), "api_key: this provider needs"),
    "a key with a space": (Ask(("llm", "set", "openai", "m", "--key-stdin"), f"{KEY} x"), "printable ASCII"),
    "two lines": (Ask(("llm", "set", "openai", "m", "--key-stdin"), f"{KEY}\n{KEY}\n"), "no spaces or line breaks"),
    "a key that is too long": (Ask(("llm", "set", "openai", "m", "--key-stdin"), KEY * 200), "1 to 4,096"),
    "no stored key to keep": (Ask(("llm", "set", "openai", "m", "--keep-key")), "api_key: this provider needs"),
    "two sources of the key": (Ask(("llm", "set", "openai", "m", "--keep-key", "--no-key")), "exclude one another"),
    "nobody to ask": (Ask(("llm", "set", "openai", "m")), "--key-stdin, --keep-key or --no-key"),
    "an unknown fallback": (
        Ask(("llm", "set", "openai", "m", "--no-key", "--fallback", "maybe")),
        "--fallback is error or platform",
    ),
    "a private address": (
        Ask(("llm", "set", "custom", "m", "--base-url", "http://10.0.0.1/v1", "--no-key")),
        "IMPERAL_PRIVATE_NETWORKS",
    ),
    "clear text to a public address": (
        Ask(("llm", "set", "custom", "m", "--base-url", "http://models.example/v1", "--no-key")),
        "https:// only",
    ),
    "no address": (Ask(("llm", "set", "custom", "m", "--no-key")), "base_url: "),
    "a model of control characters": (Ask(("llm", "set", "openai", "\x1b[31m", "--key-stdin"), KEY), "model: "),
    "a bad tenant": (Ask(("llm", "set", "openai", "m", "--keep-key", "-t", "~platform")), "tenant '~platform'"),
    "nothing to delete": (Ask(("llm", "delete")), "no model is configured here"),
}


@pytest.fixture(scope="module")
def invalid(shared_command: Command) -> dict[str, Done]:
    return each(shared_command, {name: ask for name, (ask, _) in INVALID.items()})


@pytest.mark.parametrize("name", INVALID)
def test_what_is_not_valid_is_one_line_without_the_key(invalid: dict[str, Done], name: str) -> None:
    message = error_of(invalid[name])
    assert INVALID[name][1] in message
    assert KEY[:SHOWN] not in message


def every_byte_below(command: Command) -> bytes:
    files = [path for path in command.place.rglob("*") if path.is_file()]
    assert command.database_file in files
    return b"".join(path.read_bytes() for path in files)


def test_the_key_is_stored_and_is_nowhere_to_be_read(command: Command) -> None:
    stored = command("llm", "set", "openai", "gpt-4o-mini", "--key-stdin", stdin=KEY + "\n").text
    shown = command("llm", "show").text
    as_json = command("llm", "show", "--json").text
    for text in (stored, shown, as_json):
        assert "gpt-4o-mini" in text
        assert KEY[: SHOWN + 1] not in text
    on_disk = every_byte_below(command)
    assert b"gpt-4o-mini" in on_disk, "the reading itself works"
    assert KEY[: SHOWN + 1].encode() not in on_disk
    assert KEY[-12:].encode() not in on_disk


def test_what_is_stored_is_shown(command: Command) -> None:
    options = ("--base-url", "https://models.example/v1", "--display-name", "Mine [/b]", "--fallback", "platform")
    models = ("--purpose-model", "draft=m-small")
    command("llm", "set", "custom", "m[/x]", "--no-key", "--inactive", *options, *models)
    found = command("llm", "show", "--json").json
    del found["updated_at"]
    assert found == {
        "configured": True,
        "provider": "custom",
        "model": "m[/x]",
        "base_url": "https://models.example/v1",
        "display_name": "Mine [/b]",
        "is_active": False,
        "fallback": "platform",
        "api_key_prefix": "",
        "models": {"draft": "m-small"},
        "version": 1,
    }
    shown = command("llm", "show").text
    assert shown == ("custom m[/x] at https://models.example/v1: inactive, key none, when it fails: platform\n")


def test_keeping_the_key_changes_the_rest(command: Command) -> None:
    assert command("llm", "set", "openai", "gpt-4o-mini", "--key-stdin", stdin=KEY).status == 0
    before = command("llm", "show", "--json").json
    assert "gpt-4o:" not in command("llm", "set", "openai", "gpt-4o", "--keep-key").text
    after = command("llm", "show", "--json").json
    assert (before["model"], after["model"]) == ("gpt-4o-mini", "gpt-4o")
    assert after["api_key_prefix"] == before["api_key_prefix"] == KEY[: len(before["api_key_prefix"])]
    moved = command("llm", "set", "openai", "m", "--keep-key", "--base-url", "https://thief.example/v1")
    assert "give the key again" in error_of(moved)


def test_a_deleted_model_is_gone(command: Command) -> None:
    assert command("llm", "set", "openai", "gpt-4o-mini", "--key-stdin", stdin=KEY).status == 0
    assert command("llm", "delete").text == "Removed.\n"
    assert command("llm", "show", "--json").json == {"configured": False}
    assert command("llm", "show").text.startswith("No model of their own: ")


def test_users_and_the_platform_have_models_of_their_own(command: Command) -> None:
    assert command("llm", "set", "openai", "adas", "--key-stdin", "-t", "acme", "-u", "ada", stdin=KEY).status == 0
    assert command("llm", "set", "openai", "everybodys", "--key-stdin", "--platform", stdin=KEY).status == 0
    others = [("-t", "acme", "-u", "bob"), ("-t", "globex", "-u", "ada"), ()]
    assert [command("llm", "show", "--json", *who).json for who in others] == [{"configured": False}] * 3
    assert command("llm", "show", "--json", "-t", "acme", "-u", "ada").json["model"] == "adas"
    assert command("llm", "show", "--json", "--platform").json["model"] == "everybodys"
