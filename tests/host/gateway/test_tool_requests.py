"""Tools, their results, pictures and schemas, as each vendor's own types take them."""

import json
from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given
from hypothesis import strategies as st
from ollama._types import ChatRequest
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from imperal_host.gateway.providers.anthropic import Anthropic
from imperal_host.gateway.providers.base import ModelCall, Provider
from imperal_host.gateway.providers.ollama import Ollama
from imperal_host.gateway.providers.openai import OpenAI
from imperal_sdk.llm import (
    Base64Source,
    ImageBlock,
    LlmRequest,
    Message,
    ResponseSchema,
    TextBlock,
    Tool,
    ToolChoice,
    ToolResultBlock,
    ToolUseBlock,
)

PIXEL = ImageBlock(source=Base64Source(media_type="image/png", data="iVBORw0KGgo="))
OPENAI: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsNonStreaming)
ANTHROPIC: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
WORDS = st.text("abc ü😀", min_size=1, max_size=8)
NAMES = st.sampled_from(["first", "second"])
TOOLS = (Tool(name="first", description="The first."), Tool(name="second", input_schema={"type": "object"}))
CHOICES = st.none() | st.builds(
    ToolChoice, type=st.sampled_from(["auto", "any", "none"]), disable_parallel_tool_use=st.booleans()
) | st.builds(ToolChoice, type=st.just("tool"), name=NAMES)  # fmt: skip


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """A question, perhaps with a picture; and rounds of tools and their results."""
    first = (TextBlock(text=draw(WORDS)), *([PIXEL] if draw(st.booleans()) else []))
    messages = [Message(role="user", content=first)]
    for turn in range(draw(st.integers(0, 2))):
        uses = [
            ToolUseBlock(id=f"t{turn}{n}", name=draw(NAMES), input={"x": draw(WORDS)})
            for n in range(draw(st.integers(1, 2)))
        ]
        said = [TextBlock(text=draw(WORDS))] if draw(st.booleans()) else []
        results = [
            ToolResultBlock(tool_use_id=use.id, content=draw(WORDS), is_error=draw(st.booleans())) for use in uses
        ]
        messages += [Message(role="assistant", content=(*said, *uses)), Message(role="user", content=tuple(results))]
    return tuple(messages)


REQUESTS = st.builds(
    LlmRequest,
    messages=conversations(),
    system=st.sampled_from(["", "Be brief."]),
    tools=st.just(TOOLS),
    tool_choice=CHOICES,
    response_schema=st.none() | st.just(ResponseSchema(json_schema=SCHEMA)),
)


def body(dialect: Provider, request: LlmRequest) -> dict[str, Any]:
    built = dialect.build(ModelCall(request, "m", "https://llm.example.org/v1", {"max_tokens": 10}))
    made: dict[str, Any] = json.loads(built.content)
    return made


@given(request=REQUESTS)
def test_openai_takes_it_and_every_result_follows_its_use(request: LlmRequest) -> None:
    made = body(OpenAI(), request)
    OPENAI.validate_python(made)
    asked: list[str] = []
    for message in made["messages"]:
        asked += [call["id"] for call in message.get("tool_calls") or ()]
        if message["role"] == "tool":
            asked.remove(message["tool_call_id"])
    assert asked == []
    assert [tool["function"]["name"] for tool in made["tools"]][:2] == ["first", "second"]


@given(request=REQUESTS)
def test_anthropic_takes_it(request: LlmRequest) -> None:
    made = body(Anthropic(), request)
    ANTHROPIC.validate_python(made)
    assert [message["role"] for message in made["messages"]] == [message.role for message in request.messages]


@given(request=REQUESTS)
def test_ollama_takes_it(request: LlmRequest) -> None:
    ChatRequest.model_validate(body(Ollama(), request))


@pytest.mark.parametrize(
    ("choice", "openai"),
    [
        (ToolChoice(type="auto"), "auto"),
        (ToolChoice(type="any"), "required"),
        (ToolChoice(type="none"), "none"),
        (ToolChoice(type="tool", name="first"), {"type": "function", "function": {"name": "first"}}),
    ],
)
def test_a_choice_is_translated(choice: ToolChoice, openai: object) -> None:
    request = LlmRequest(messages=(Message(role="user", content="x"),), tools=TOOLS, tool_choice=choice)
    assert body(OpenAI(), request)["tool_choice"] == openai
    assert body(Anthropic(), request)["tool_choice"]["type"] == choice.type
