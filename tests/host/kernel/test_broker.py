"""What a running call may write to the log: bounded, and never an escape sequence at a person's terminal."""

import contextlib
from collections.abc import Iterator

import pytest
import structlog

from imperal_host import log
from imperal_host.errors import ForbiddenError, HostError, InvalidError
from imperal_host.identity import CallId, Principal, Scope, TenantId, UserId
from imperal_host.kernel.broker import CallBroker, Deliver
from imperal_host.kernel.grants import granted
from imperal_sdk.llm import Completion, LlmRequest, TextBlock, Usage
from imperal_sdk.manifest import Manifest

SCOPE = Scope(CallId("c"), Principal(TenantId("acme"), UserId("ada")), "notes", "1.0.0", "f")


FORMS = pytest.mark.parametrize("as_json", [True, False], ids=["json", "console"])


class BrokenModels:
    async def complete(self, scope: Scope, request: LlmRequest) -> Completion:
        raise KeyError("a mistake of ours")


@contextlib.contextmanager
def spoken(as_json: bool) -> Iterator[None]:
    """Log to the standard error of the moment, which a test captures."""
    before = structlog.get_config()
    log.configure("info", as_json=as_json)
    try:
        yield
    finally:
        structlog.configure(**before)


def broker() -> CallBroker:
    granted = frozenset({"log.write", "llm.complete"})
    return CallBroker(SCOPE, granted, BrokenModels(), lambda percent, message: None)


def entry(message: str, **fields: object) -> dict[str, object]:
    return {"level": "info", "message": message, "fields": fields}


@FORMS
async def test_what_one_call_logs_is_cut_once_and_said_so(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with spoken(as_json):
        asked = broker()
        for _ in range(400):
            await asked.ask("log.write", entry("x", text="y" * 100_000))
    said = capsys.readouterr().err
    assert 200_000 < len(said) < 600_000
    assert said.count("extension.log_cut") == 1


@FORMS
async def test_no_escape_sequence_reaches_a_terminal(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with spoken(as_json):
        await broker().ask("log.write", entry("\x1b]0;owned\x07", text="\x1b[2J", more="plain"))
    said = capsys.readouterr().err
    assert "owned" in said
    assert "plain" in said
    assert "\x1b]0" not in said
    assert "\x1b[2J" not in said
    assert "\x07" not in said


async def test_a_mistake_of_the_hosts_is_a_refusal_and_not_silence() -> None:
    asked = broker()
    with pytest.raises(HostError, match="the host made a mistake") as raised:
        await asked.ask("llm.complete", {"messages": [{"role": "user", "content": "hi"}]})
    assert asked.refusals == {"host.error": raised.value}


async def test_a_wrong_payload_is_the_extensions_and_names_the_field() -> None:
    with pytest.raises(InvalidError) as raised:
        await broker().ask("llm.complete", {"messages": []})
    assert [problem.field for problem in raised.value.problems] == ["messages"]


# -- streams


class StreamingModels(BrokenModels):
    async def stream(self, scope: Scope, request: LlmRequest, deliver: Deliver) -> Completion:
        await deliver([{"type": "text", "text": request.messages[0].text}])
        return COMPLETION


COMPLETION = Completion(
    content=(TextBlock(text="hi"),),
    model="m",
    provider="p",
    stop_reason="end_turn",
    usage=Usage(input_tokens=1, output_tokens=2),
    is_byollm=False,
)
HI = {"messages": [{"role": "user", "content": "hi"}]}


async def test_a_stream_is_delivered_answered_and_counted() -> None:
    delivered: list[dict[str, object]] = []

    async def deliver(items: list[dict[str, object]]) -> None:
        delivered.extend(items)

    asked = CallBroker(SCOPE, granted(Manifest(app_id="notes", version="1.0.0")), StreamingModels(), lambda *_: None)
    assert await asked.stream("llm.stream", HI, deliver) == COMPLETION.model_dump(mode="json")
    assert (delivered, asked.answers) == ([{"type": "text", "text": "hi"}], [COMPLETION])


@pytest.mark.parametrize("capability", ["llm.stream", "llm.complete", "log.write", ""])
async def test_what_is_not_granted_or_not_streamed_is_not_streamed(capability: str) -> None:
    async def deliver(items: list[dict[str, object]]) -> None:
        raise AssertionError

    asked = broker()  # granted llm.complete by name, and no more
    with pytest.raises(ForbiddenError):
        await asked.stream(capability, HI, deliver)
    assert set(asked.refusals) == {"request.forbidden"}


@pytest.mark.parametrize(
    ("declared", "models"),
    [
        ((), True),
        (("llm.complete",), True),
        (("log.write",), False),
        (("llm.stream",), False),
        (("vault.open",), False),
    ],
)
def test_one_word_of_a_manifest_grants_every_way_to_ask_a_model(declared: tuple[str, ...], models: bool) -> None:
    given = granted(Manifest(app_id="notes", version="1.0.0", capabilities=declared))
    every = {"llm.complete", "llm.stream", "llm.embed", "llm.estimate"}
    assert given == {"log.write", "progress.report"} | (every if models else set())
