"""The wire dialects against the vendors' own client libraries: what we build they take, what they have we read."""

import json
from functools import cache
from typing import Any

import httpx
import pytest
from anthropic.types import Message as AnthropicMessage
from anthropic.types import Usage as AnthropicUsage
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.completion_usage import PromptTokensDetails
from pydantic import TypeAdapter

from imperal_host.gateway.providers.anthropic import Anthropic
from imperal_host.gateway.providers.base import ModelCall, Provider, Reply
from imperal_host.gateway.providers.openai import OpenAI
from imperal_host.gateway.providers.vendors import BUILT_IN
from imperal_sdk.llm import LlmRequest, Message, Parameters, TextBlock, Usage

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["user", "assistant"]),
    content=TEXTS | st.lists(st.builds(TextBlock, text=TEXTS), max_size=3).map(tuple),
)
REQUESTS = st.builds(LlmRequest, messages=st.lists(MESSAGES, min_size=1, max_size=4).map(tuple), system=TEXTS)
SAID = st.builds(
    Parameters,
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    max_tokens=st.none() | st.integers(1, 1_000_000),
    stop_sequences=st.none() | st.lists(st.sampled_from(["END", "\n\n", "鍵"]), max_size=2).map(tuple),
    presence_penalty=st.none() | st.floats(-2, 2),
    seed=st.none() | st.integers(0, 2**32 - 1),
).map(Parameters.said)
REQUEST = LlmRequest(messages=(Message(role="user", content="Hello"),))
# The dialect names API version 2023-06-01, the installed client library's types are those of 2026-10-21, which took
# the sampling parameters out (https://platform.claude.com/docs/en/api/migration-2026-10-21).
SAMPLING_OF_2023 = {"temperature", "top_p"}
VENDORS = {vendor.name: vendor for vendor in BUILT_IN}


def body_of(request: httpx.Request) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request.read())
    return body


@cache
def adapter(params: Any) -> TypeAdapter[Any]:
    return TypeAdapter(params)


def taken_by(params: Any, body: dict[str, Any]) -> None:
    """Fails unless the vendor's own types take the body, and know every member of it."""
    validated: dict[str, Any] = adapter(params).validate_python(body)
    assert [dict(message) for message in validated["messages"]] == body["messages"]
    assert body.keys() <= params.__required_keys__ | params.__optional_keys__


def built(dialect: Provider, request: LlmRequest, model: str, said: dict[str, Any]) -> dict[str, Any]:
    """As the gateway does it: what the model takes, the dialect's defaults beneath."""
    values = {**dialect.defaults(model).said(), **said}
    accepted = {name: value for name, value in values.items() if name in dialect.accepts(model)}
    return body_of(dialect.build(ModelCall(request, model, "https://api.example.org/v1", accepted)))


@given(request=REQUESTS, said=SAID, model=st.sampled_from(["gpt-4o", "o3-mini", "llama3", "gpt-5"]))
def test_what_openai_is_sent_its_own_types_take(request: LlmRequest, said: dict[str, Any], model: str) -> None:
    body = built(OpenAI(), request, model, said)
    taken_by(CompletionCreateParamsNonStreaming, body)
    assert body["model"] == model
    assert "".join(turn["content"] for turn in body["messages"] if turn["role"] == "system") == request.system
    assert [turn["content"] for turn in body["messages"]][-len(request.messages) :] == [
        message.text for message in request.messages
    ]


@given(request=REQUESTS, said=SAID)
def test_what_anthropic_is_sent_its_own_types_take(request: LlmRequest, said: dict[str, Any]) -> None:
    body = built(Anthropic(), request, "claude-sonnet-4-5", said)
    taken_by(MessageCreateParamsNonStreaming, {name: body[name] for name in body.keys() - SAMPLING_OF_2023})
    assert body["max_tokens"] == said.get("max_tokens", 1024)
    assert body.get("system", "") == request.system
    assert {turn["role"] for turn in body["messages"]} <= {"user", "assistant"}


def test_parameters_are_called_as_each_vendor_calls_them() -> None:
    said = Parameters(temperature=0.0, top_p=0.5, max_tokens=7, stop_sequences=("END",), seed=0).said()
    openai = built(OpenAI(), REQUEST, "gpt-4o", said)
    assert {name: openai[name] for name in openai.keys() - {"model", "messages"}} == {
        "temperature": 0.0, "top_p": 0.5, "max_tokens": 7, "stop": ["END"], "seed": 0,
    }  # fmt: skip
    anthropic = built(Anthropic(), REQUEST, "claude", said)
    assert {name: anthropic[name] for name in anthropic.keys() - {"model", "messages"}} == {
        "temperature": 0.0, "top_p": 0.5, "max_tokens": 7, "stop_sequences": ["END"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "reasons"),
    [
        *((model, True) for model in ("o1", "o1-mini", "o3-mini", "o4-mini", "gpt-5", "gpt-5-mini", "openai/o3")),
        *((model, False) for model in ("gpt-4o", "gpt-4.1", "llama3", "olmo-2", "phi-o1", "my-gpt-5", "o", "")),
    ],
)
@given(said=SAID)
def test_a_reasoning_model_is_sent_an_output_bound_and_no_sampling(
    model: str, reasons: bool, said: dict[str, Any]
) -> None:
    sent = built(OpenAI(), REQUEST, model, said).keys() - {"model", "messages"}
    if reasons:
        assert sent == ({"max_completion_tokens"} if "max_tokens" in said else set())
    else:
        assert sent == {{"stop_sequences": "stop"}.get(name, name) for name in said}


@pytest.mark.parametrize(
    ("vendor", "base_url", "expected"),
    [
        ("openai", "https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
        ("openai_compatible", "https://llm.example.org/", "https://llm.example.org/chat/completions"),
        ("openai_compatible", "http://10.0.0.1:8000/a/v1/", "http://10.0.0.1:8000/a/v1/chat/completions"),
        ("anthropic", "https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
        ("anthropic", "https://api.anthropic.com/v1", "https://api.anthropic.com/v1/messages"),
        ("anthropic", "https://proxy.example.org/claude/v1/", "https://proxy.example.org/claude/v1/messages"),
    ],
)
def test_the_address_is(vendor: str, base_url: str, expected: str) -> None:
    request = VENDORS[vendor].dialect.build(ModelCall(REQUEST, "m", base_url, {}))
    assert (request.method, str(request.url)) == ("POST", expected)
    assert request.headers["content-type"] == "application/json"


def test_a_dialect_says_where_the_key_goes_and_puts_none_there() -> None:
    openai, anthropic = (VENDORS[name].dialect for name in ("openai", "anthropic"))
    assert (openai.key_header, openai.key_format) == ("authorization", "Bearer {}")
    assert (anthropic.key_header, anthropic.key_format) == ("x-api-key", "{}")
    for dialect in (openai, anthropic):
        headers = dialect.build(ModelCall(REQUEST, "m", "https://api.example.org", {})).headers
        assert not {"authorization", "x-api-key"} & set(headers)
    assert (
        anthropic.build(ModelCall(REQUEST, "m", "https://a.example.org", {})).headers["anthropic-version"]
        == "2023-06-01"
    )


def chat(content: str | None, finish: Any, usage: CompletionUsage | None = None) -> bytes:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    return (
        ChatCompletion.model_validate(
            {
                "id": "chatcmpl-1",
                "created": 1_750_000_000,
                "model": "gpt-4o-2024-08-06",
                "object": "chat.completion",
                "choices": [choice],
                "usage": usage,
            }
        )
        .model_dump_json()
        .encode()
    )


def message(blocks: list[dict[str, Any]], stop: Any, **usage: Any) -> bytes:
    counted = AnthropicUsage.model_validate({"input_tokens": 10, "output_tokens": 5, **usage})
    return (
        AnthropicMessage.model_validate(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "claude-sonnet-4-5-20250929",
                "content": blocks,
                "stop_reason": stop,
                "stop_sequence": None,
                "usage": counted,
            }
        )
        .model_dump_json()
        .encode()
    )


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "end_turn"), ("length", "max_tokens"), ("tool_calls", "tool_use"), ("function_call", "tool_use"),
        ("content_filter", "refusal"),
    ],
)  # fmt: skip
@given(text=TEXTS, sent=st.integers(0, 10**9), made=st.integers(0, 10**9), cached=st.none() | st.integers(0, 10**9))
def test_openais_own_completion_is_read(
    finish: str, reason: str, text: str, sent: int, made: int, cached: int | None
) -> None:
    details = PromptTokensDetails(cached_tokens=cached)
    usage = CompletionUsage(
        prompt_tokens=sent, completion_tokens=made, total_tokens=sent + made, prompt_tokens_details=details
    )
    parsed = OpenAI().parse(Reply(200, chat(text, finish, usage)), REQUEST)
    assert (parsed.text, parsed.stop_reason, parsed.model) == (text, reason, "gpt-4o-2024-08-06")
    assert parsed.usage == Usage(input_tokens=sent, output_tokens=made, cached_input_tokens=cached or 0, exact=True)


def test_a_completion_without_text_or_counts_is_read_and_estimated() -> None:
    parsed = OpenAI().parse(Reply(200, chat(None, "tool_calls")), REQUEST)
    assert (parsed.text, parsed.usage.output_tokens, parsed.usage.exact) == ("", 0, False)
    parsed = OpenAI().parse(Reply(200, chat("x" * 9, "stop")), REQUEST)
    assert (parsed.usage.output_tokens, parsed.usage.exact) == (3, False)
    assert parsed.usage.input_tokens > 0


@pytest.mark.parametrize("stop", ["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"])
@given(texts=st.lists(TEXTS, max_size=3), read=st.none() | st.integers(0, 99), made=st.none() | st.integers(0, 99))
def test_anthropics_own_message_is_read(stop: str, texts: list[str], read: int | None, made: int | None) -> None:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text, "citations": None} for text in texts]
    blocks.insert(0, {"type": "thinking", "thinking": "hmm", "signature": "s"})
    reply = Reply(200, message(blocks, stop, cache_read_input_tokens=read, cache_creation_input_tokens=made))
    parsed = Anthropic().parse(reply, REQUEST)
    assert (parsed.text, parsed.stop_reason, parsed.model) == ("".join(texts), stop, "claude-sonnet-4-5-20250929")
    assert parsed.usage == Usage(
        input_tokens=10 + (read or 0) + (made or 0), output_tokens=5, cached_input_tokens=read or 0, exact=True
    )
