"""``params``: the layers, and which of them wins."""

import pytest

from tests.host.cli.command import Ask, Command, Done, each, error_of

INVALID: dict[str, tuple[Ask, str]] = {
    "too hot": (Ask(("params", "set", "--temperature", "3")), "--temperature: Input should be less than or equal to 2"),
    "no tokens": (Ask(("params", "set", "--max-tokens", "0")), "--max-tokens: "),
    "nothing named": (Ask(("params", "set", "--purpose", "x")), "name at least one parameter"),
    "nothing to delete": (Ask(("params", "delete", "--purpose", "x")), "nothing is set for purpose x"),
    "no model to explain": (Ask(("params", "explain")), "imperal-host model pull"),
    "a bad user": (Ask(("params", "explain", "--user", "a b")), "user 'a b'"),
}


@pytest.fixture(scope="module")
def invalid(shared_command: Command) -> dict[str, Done]:
    return each(shared_command, {name: ask for name, (ask, _) in INVALID.items()})


@pytest.mark.parametrize("name", INVALID)
def test_what_is_not_valid_is_one_line(invalid: dict[str, Done], name: str) -> None:
    assert INVALID[name][1] in error_of(invalid[name])


def test_nothing_is_set_at_first(command: Command) -> None:
    assert command("params", "show").text.startswith("Nothing is set: ")
    assert command("params", "show", "--json").json == []


def test_a_narrower_layer_wins_and_the_others_fill_in(command_with_model: Command) -> None:
    command = command_with_model
    for options in (
        ("--temperature", "0.1", "--top-p", "0.9"),
        ("-p", "rewrite", "--temperature", "0.2", "--max-tokens", "40"),
        ("-x", "hello", "--temperature", "0.3"),
        ("-x", "hello", "-p", "rewrite", "--seed", "7"),
    ):
        assert command("params", "set", *options).status == 0
    explained = command("params", "explain", "-x", "hello", "-p", "rewrite", "--json").json
    assert explained["parameters"] == {"temperature": 0.3, "top_p": 0.9, "max_tokens": 40, "seed": 7}
    assert {name: origin["layer"] for name, origin in explained["provenance"].items()} == {
        "temperature": "extension hello",
        "top_p": "platform",
        "max_tokens": "purpose rewrite",
        "seed": "extension hello, purpose rewrite",
    }
    assert command("params", "explain", "--json").json["parameters"] == {
        "temperature": 0.1, "top_p": 0.9, "max_tokens": 4096,
    }  # fmt: skip
    shown = command("params", "explain", "-x", "hello", "-p", "rewrite").text
    assert shown.startswith("local SmolLM2-135M-Instruct (chosen by the embedded model)\n")
    assert "extension hello, purpose rewrite" in shown


def test_setting_adds_to_a_layer_and_deleting_removes_it(command: Command) -> None:
    assert command("params", "set", "-p", "rewrite", "--max-tokens", "40").text == "purpose rewrite: max_tokens 40\n"
    both = command("params", "set", "-p", "rewrite", "--stop", "END", "--stop", "[/x]").text
    assert both == "purpose rewrite: max_tokens 40, stop_sequences ['END', '[/x]']\n"
    assert command("params", "show").text == both
    [layer] = command("params", "show", "--json").json
    assert layer == {
        "extension": "",
        "purpose": "rewrite",
        "parameters": {"max_tokens": 40, "stop_sequences": ["END", "[/x]"]},
    }
    assert command("params", "delete", "-p", "rewrite").text == "Removed.\n"
    assert command("params", "show", "--json").json == []


def test_what_the_users_own_model_gets_is_explained(command: Command) -> None:
    command("params", "set", "--temperature", "0.4")
    command("llm", "set", "openai", "gpt-4o-mini", "--key-stdin", "-u", "ada", stdin="sk-x")
    assert command("params", "explain", "-u", "ada").text.startswith("openai gpt-4o-mini (chosen by user/ada)\n")
    found = command("params", "explain", "-u", "ada", "--json").json
    assert (found["is_byollm"], found["parameters"]) == (True, {"temperature": 0.4})
