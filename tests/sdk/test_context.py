"""``ctx``: what an extension says is what is asked, no more and no less."""

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperal_sdk import Context, RateLimitError, ValidationError
from imperal_sdk.llm import UNSET, Completion, LlmRequest, TextBlock, Usage
from imperal_sdk.wire import CallContext, Connection, Invoke, LlmView, Return, Role

COMPLETION = Completion(
    content=(TextBlock(text="Hello"), TextBlock(text=" there")),
    model="answering-model",
    provider="openai",
    stop_reason="end_turn",
    usage=Usage(input_tokens=7, output_tokens=2),
    is_byollm=True,
)
HELLO = [{"role": "user", "content": "hello"}]
NOW = 1_767_275_999.5  # 2026-01-01T13:59:59.5Z


@dataclass
class Host:
    """The other end of ``ask`` and ``emit``: keeps what it hears, says what it was told to say."""

    answer: Completion | Exception = COMPLETION
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    emitted: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def ask(self, capability: str, payload: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((capability, payload))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer.model_dump(mode="json")

    def emit(self, capability: str, payload: dict[str, Any]) -> None:
        self.emitted.append((capability, payload))

    def context(self, *, is_byollm: bool = True, config: dict[str, Any] | None = None) -> Context:
        view = LlmView(is_byollm, "openai", "gpt-view")
        call = CallContext("u1", "u1@example.com", "t1", "admin", ["notes.*"], view, NOW, config or {})
        return Context(call, self.ask, self.emit)


# -- ctx.llm


@pytest.mark.parametrize("is_byollm", [True, False])
def test_the_model_can_be_looked_at_before_the_first_call(is_byollm: bool) -> None:
    host = Host()
    llm = host.context(is_byollm=is_byollm).llm

    assert (llm.is_byollm, llm.provider, llm.model) == (is_byollm, "openai", "gpt-view")
    assert host.asked == []


async def test_what_was_not_said_is_not_sent() -> None:
    host = Host()
    await host.context().llm.create_message(HELLO)

    assert host.asked == [
        ("llm.complete", {"messages": HELLO, "system": "", "purpose": "", "model": "", "parameters": {}})
    ]


async def test_what_was_said_is_sent() -> None:
    host = Host()
    said = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 10,
        "stop_sequences": ["END"],
        "presence_penalty": -1.0,
        "frequency_penalty": 1.0,
        "seed": 4,
    }
    await host.context().llm.create_message(HELLO, "Be brief.", purpose="rewrite", model="a-wish", **said)

    assert host.asked == [
        (
            "llm.complete",
            {"messages": HELLO, "system": "Be brief.", "purpose": "rewrite", "model": "a-wish", "parameters": said},
        )
    ]


@pytest.mark.parametrize(
    ("name", "zero"),
    [
        ("temperature", 0.0),
        ("top_p", 0.0),
        ("presence_penalty", 0.0),
        ("frequency_penalty", 0.0),
        ("seed", 0),
        ("stop_sequences", []),
    ],
)
async def test_zero_is_a_value_and_unset_is_none(name: str, zero: Any) -> None:
    host = Host()
    llm = host.context().llm
    await llm.create_message(HELLO, **{name: zero})
    await llm.create_message(HELLO, **{name: UNSET})

    sent = [payload["parameters"] for _, payload in host.asked]
    assert sent == [{name: zero}, {}]


def test_unset_is_false_and_shows_its_name() -> None:
    assert not UNSET
    assert repr(UNSET) == "UNSET"


async def test_system_and_max_tokens_may_be_positional_as_in_the_published_sdk() -> None:
    host = Host()
    await host.context().llm.create_message(HELLO, "Be brief.", 64)

    (_, payload) = host.asked[0]
    assert (payload["system"], payload["parameters"]) == ("Be brief.", {"max_tokens": 64})


async def test_text_blocks_are_sent_as_blocks() -> None:
    host = Host()
    blocks = [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]
    await host.context().llm.create_message(blocks)

    assert host.asked[0][1]["messages"] == blocks


async def test_the_answer_is_a_completion() -> None:
    answer = await Host().context().llm.create_message(HELLO)

    assert answer == COMPLETION
    assert (answer.text, answer.tokens_used, answer.usage["input_tokens"]) == ("Hello there", 9, 7)


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        pytest.param({"messages": []}, "messages", id="no message"),
        pytest.param({"messages": [{"role": "system", "content": "x"}]}, "messages.0.role", id="a role"),
        pytest.param({"messages": [{"role": "user"}]}, "messages.0.content", id="no content"),
        pytest.param({"messages": [{**HELLO[0], "name": "x"}]}, "messages.0.name", id="an unknown member"),
        pytest.param({"messages": ["hello"]}, "messages.0", id="a bare string"),
        pytest.param({"temperature": 2.1}, "parameters.temperature", id="too hot"),
        pytest.param({"temperature": -0.1}, "parameters.temperature", id="too cold"),
        pytest.param({"temperature": math.nan}, "parameters.temperature", id="not a number"),
        pytest.param({"top_p": 1.1}, "parameters.top_p", id="top_p"),
        pytest.param({"max_tokens": 0}, "parameters.max_tokens", id="no tokens"),
        pytest.param({"stop_sequences": [""]}, "parameters.stop_sequences.0", id="an empty stop"),
        pytest.param({"stop_sequences": ["x"] * 17}, "parameters.stop_sequences", id="too many stops"),
        pytest.param({"presence_penalty": 3.0}, "parameters.presence_penalty", id="presence"),
        pytest.param({"seed": -1}, "parameters.seed", id="seed"),
        pytest.param({"purpose": "no spaces"}, "purpose", id="purpose"),
        pytest.param({"model": "m" * 257}, "model", id="model"),
    ],
)
async def test_a_wrong_request_is_refused_before_anything_is_sent(arguments: dict[str, Any], where: str) -> None:
    host = Host()
    with pytest.raises(ValidationError) as caught:
        await host.context().llm.create_message(**{"messages": HELLO, **arguments})

    assert caught.value.field.startswith(where)
    assert caught.value.code == "validation_error"
    assert host.asked == []


async def test_the_hosts_refusal_reaches_the_author_as_it_is() -> None:
    refusal = RateLimitError(5)
    with pytest.raises(RateLimitError) as caught:
        await Host(answer=refusal).context().llm.create_message(HELLO)

    assert caught.value is refusal


def test_a_request_names_no_user_no_key_and_no_address() -> None:
    assert set(LlmRequest.model_fields) == {
        *("messages", "system", "purpose", "model", "parameters", "tools", "tool_choice", "response_schema")
    }


# -- ctx.ai


async def test_a_prompt_is_one_user_message() -> None:
    host = Host()
    result = await host.context().ai.complete("hello")

    assert host.asked[0][1]["messages"] == HELLO
    assert (result.text, result.model, result.stop_reason) == ("Hello there", "answering-model", "end_turn")
    assert (result.usage, result.tokens_used) == ({"input_tokens": 7, "output_tokens": 2}, 9)


async def test_a_prompt_comes_after_the_messages_before_it() -> None:
    host = Host()
    before = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hi!"}]
    await host.context().ai.complete("hello", "a-wish", messages=before, system="Be brief.", temperature=0.0)

    (capability, payload) = host.asked[0]
    assert capability == "llm.complete"
    assert payload == {
        "messages": [*before, *HELLO],
        "system": "Be brief.",
        "purpose": "",
        "model": "a-wish",
        "parameters": {"temperature": 0.0},
    }


# -- ctx.log


async def test_an_entry_is_on_its_way_whether_awaited_or_not() -> None:
    host = Host()
    ctx = host.context()
    ctx.log("first")
    await ctx.log("second")
    ctx.log.info("third")

    assert [(capability, entry["message"]) for capability, entry in host.emitted] == [
        ("log.write", "first"),
        ("log.write", "second"),
        ("log.write", "third"),
    ]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("debug", "debug"),
        ("info", "info"),
        ("warn", "warning"),
        ("warning", "warning"),
        ("error", "error"),
        ("critical", "error"),
        ("shout", "info"),
    ],
)
def test_published_levels_become_the_hosts_four(said: str, meant: str) -> None:
    host = Host()
    host.context().log("text", said)

    assert host.emitted == [("log.write", {"level": meant, "message": "text", "fields": {}})]


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_a_level_is_a_method_too(level: str) -> None:
    host = Host()
    getattr(host.context().log, level)("text", count=3)

    assert host.emitted == [("log.write", {"level": level, "message": "text", "fields": {"count": 3}})]


def test_fields_that_are_not_plain_are_shown_by_their_repr() -> None:
    host = Host()
    host.context().log.info("text", none=None, yes=True, many=[1], big=2**70, half=0.5)

    assert host.emitted[0][1]["fields"] == {
        "none": None,
        "yes": True,
        "many": "[1]",
        "big": "1180591620717411303424",
        "half": 0.5,
    }


def test_a_long_entry_is_cut_to_what_the_host_takes_rather_than_lost() -> None:
    host = Host()
    host.context().log.info("x" * 5_000, **{f"field_{i}": "y" * 5_000 for i in range(60)})

    entry = host.emitted[0][1]
    assert entry["message"] == "x" * 4_000
    assert len(entry["fields"]) == 50
    assert set(entry["fields"].values()) == {"y" * 4_000}


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.sets(st.integers())


@given(
    message=st.text(st.characters(), max_size=50) | st.just("\ud800" * 4_000),
    fields=st.dictionaries(st.sampled_from(["user", "count", "größe"]), anything),
)
def test_whatever_is_logged_can_be_sent(message: str, fields: dict[str, Any]) -> None:
    host = Host()
    host.context().log.warning(message, **fields)

    (_, entry) = host.emitted[0]
    assert len(entry["message"]) <= 4_000
    Connection(Role.ISOLATE).send(Return("c", entry))


# -- ctx.progress


@pytest.mark.parametrize(
    ("said", "reported"),
    [(0, 0.0), (42, 42.0), (99.5, 99.5), (100, 100.0), (-1, 0.0), (101, 100.0), (math.inf, 100.0), (-math.inf, 0.0)],
)
def test_progress_stays_between_0_and_100(said: float, reported: float) -> None:
    host = Host()
    host.context().progress(said, "working")

    assert host.emitted == [("progress.report", {"percent": reported, "message": "working"})]


async def test_progress_is_reported_whether_awaited_or_not() -> None:
    host = Host()
    ctx = host.context()
    ctx.progress(10)
    await ctx.progress(20, "x" * 600)

    assert [payload for _, payload in host.emitted] == [
        {"percent": 10.0, "message": ""},
        {"percent": 20.0, "message": "x" * 500},
    ]


# -- ctx.config

CONFIG = {"limit": 3, "mail": {"from": "a@example.com", "retry": {"times": 2, "never": None}}}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("limit", 3),
        ("mail.from", "a@example.com"),
        ("mail.retry.times", 2),
        ("mail.retry.never", None),
        ("mail.to", "the default"),
        ("limit.of.what", "the default"),
        ("", "the default"),
    ],
)
def test_a_dotted_key_walks_sections(key: str, value: object) -> None:
    assert Host().context(config=CONFIG).config.get(key, "the default") == value


@pytest.mark.parametrize(
    ("section", "values"),
    [("mail.retry", {"times": 2, "never": None}), ("limit", {}), ("absent", {})],
)
def test_a_section_is_always_a_dict(section: str, values: dict[str, Any]) -> None:
    assert Host().context(config=CONFIG).config.get_section(section) == values


def test_a_setting_cannot_be_changed_through_what_is_handed_out() -> None:
    config = Host().context(config=CONFIG).config
    config.all()["limit"] = 99
    config.get_section("mail")["from"] = "elsewhere"

    assert config.all() == CONFIG
    assert config.get("limit") == 3
    assert config.get("mail.from") == "a@example.com"


# -- ctx.time, ctx.user, ctx.tenant


def test_the_time_is_the_hosts_clock_in_utc() -> None:
    time = Host().context().time

    assert time.now_utc == time.now_local == "2026-01-01T13:59:59.500000+00:00"
    assert (time.timezone, time.utc_offset, time.hour_local) == ("UTC", "+00:00", 13)


def test_the_user_and_the_tenant_are_those_of_the_call() -> None:
    ctx = Host().context()

    assert (ctx.user.imperal_id, ctx.user.email, ctx.user.tenant_id) == ("u1", "u1@example.com", "t1")
    assert ctx.user.has_role("admin")
    assert not ctx.user.has_role("user")
    assert ctx.tenant.tenant_id == "t1"


@pytest.mark.parametrize(
    ("scope", "granted"),
    [("notes.read", True), ("notes.read.all", True), ("notes", False), ("notesread", False), ("mail.read", False)],
)
def test_a_scope_with_a_star_covers_what_is_below_it(scope: str, granted: bool) -> None:
    assert Host().context().user.has_scope(scope) is granted


def test_the_frame_of_a_call_carries_all_that_ctx_shows() -> None:
    # what a context is made of survives the wire: the worker builds ctx from exactly this
    call = CallContext("u", "", "t", "user", [], LlmView(False, "", ""), NOW, CONFIG)
    stream = Connection(Role.HOST).send(Invoke("c", "f", {}, call))

    (frame,) = Connection(Role.ISOLATE).receive(stream)
    assert isinstance(frame, Invoke)
    assert frame.context == call
