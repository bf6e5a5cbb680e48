"""The vendors' own libraries are the judges: what they send is understood, what they get is what they expect."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from imperal_sdk import APIError, RateLimitError
from imperal_sdk.errors import CapabilityDeniedError
from imperal_sdk.llm import ImageBlock, ToolResultBlock, ToolUseBlock
from imperal_sdk.testing import MockContext

HELLO: Any = [{"role": "user", "content": "hello"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
USES = [ToolUseBlock(id=f"use{n}", name="weather", input={"city": city}) for n, city in enumerate(("Oslo", "Bergen"))]
PNG = "iVBORw0KGgo="


@pytest.fixture
def ctx() -> MockContext:
    ctx = MockContext()
    ctx.llm.set_response("hello", "grün and gold")
    ctx.llm.set_response("weather", USES)
    return ctx


@pytest.fixture
async def oai(ctx: MockContext) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(http_client=ctx.llm.http_client("chat"), api_key="placeholder") as client:
        yield client


@pytest.fixture
async def claude(ctx: MockContext) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(http_client=ctx.llm.http_client("chat"), api_key="placeholder") as client:
        yield client


# -- openai


async def test_openai_completes(ctx: MockContext, oai: openai.AsyncOpenAI) -> None:
    said: Any = [{"role": "system", "content": "Be brief."}, *HELLO]
    answer = await oai.chat.completions.create(
        model="wish", messages=said, temperature=0.5, max_completion_tokens=9, stop="X"
    )
    assert answer.choices[0].message.content == "grün and gold"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 4
    (request,) = ctx.llm.requests
    assert (request.system, request.model, request.purpose) == ("Be brief.", "wish", "chat")
    assert request.parameters.said() == {"temperature": 0.5, "max_tokens": 9, "stop_sequences": ["X"]}
    assert "placeholder" not in request.model_dump_json()


async def test_openai_streams(oai: openai.AsyncOpenAI) -> None:
    stream = await oai.chat.completions.create(
        model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "grün and gold"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None


async def test_openai_calls_tools_in_parallel_and_gives_back_results(ctx: MockContext, oai: openai.AsyncOpenAI) -> None:
    tools: Any = [{"type": "function", "function": {"name": "weather", "description": "d", "parameters": SCHEMA}}]
    said: Any = [{"role": "user", "content": "weather?"}]
    answer = await oai.chat.completions.create(
        model="m", messages=said, tools=tools, tool_choice="required", parallel_tool_calls=False
    )
    calls: Any = answer.choices[0].message.tool_calls
    assert [(c.id, c.function.name, c.function.arguments) for c in calls] == [
        ("use0", "weather", '{"city": "Oslo"}'),
        ("use1", "weather", '{"city": "Bergen"}'),
    ]
    assert answer.choices[0].finish_reason == "tool_calls"
    choice = ctx.llm.requests[0].tool_choice
    assert choice is not None
    assert (choice.type, choice.disable_parallel_tool_use) == ("any", True)
    results = [{"role": "tool", "tool_call_id": c.id, "content": "hello"} for c in calls]
    more = [*said, answer.choices[0].message.model_dump(exclude_none=True), *results]
    await oai.chat.completions.create(model="m", messages=more, tools=tools)
    messages = ctx.llm.requests[1].messages
    assert [message.role for message in messages] == ["user", "assistant", "user"]
    assert [block.tool_use_id for block in messages[2].blocks if isinstance(block, ToolResultBlock)] == ["use0", "use1"]


async def test_openai_gathers_tool_calls_from_a_stream(oai: openai.AsyncOpenAI) -> None:
    said: Any = [{"role": "user", "content": "weather?"}]
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    async with oai.chat.completions.stream(model="m", messages=said, tools=tools) as stream:
        final = await stream.get_final_completion()
    calls: Any = final.choices[0].message.tool_calls
    assert [c.function.arguments for c in calls] == ['{"city": "Oslo"}', '{"city": "Bergen"}']


async def test_openai_parses_structured_output(ctx: MockContext, oai: openai.AsyncOpenAI) -> None:
    class City(BaseModel):
        name: str

    ctx.llm.set_response("city", City(name="Oslo"))
    said: Any = [{"role": "user", "content": "city"}]
    answer = await oai.chat.completions.parse(model="m", messages=said, response_format=City)
    assert answer.choices[0].message.parsed == City(name="Oslo")
    schema = ctx.llm.requests[0].response_schema
    assert schema is not None
    assert schema.name == "City"


async def test_openai_sends_images(ctx: MockContext, oai: openai.AsyncOpenAI) -> None:
    parts = [
        {"type": "text", "text": "hello"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]
    said: Any = [{"role": "user", "content": parts}]
    await oai.chat.completions.create(model="m", messages=said)
    blocks = ctx.llm.requests[0].messages[0].blocks
    assert isinstance(blocks[1], ImageBlock)
    assert blocks[1].source.model_dump() == {"type": "base64", "media_type": "image/png", "data": PNG}


@pytest.mark.parametrize("form", ["float", "base64"])
async def test_openai_embeds_and_lists_models(ctx: MockContext, oai: openai.AsyncOpenAI, form: Any) -> None:
    ctx.llm.set_embeddings({"b": [0.5, -2.0]})
    answer = await oai.embeddings.create(model="m", input=["a", "b"], encoding_format=form)
    if form == "float":
        assert [item.embedding for item in answer.data] == [[1.0, 0.0], [0.5, -2.0]]
    assert (await oai.embeddings.create(model="m", input="b")).data[0].embedding == [0.5, -2.0]
    assert [model.id async for model in oai.models.list()] == ["mock-model"]


DENIED = CapabilityDeniedError("not granted", "request.forbidden")
REFUSALS = [
    (
        CapabilityDeniedError("not granted", "request.forbidden"),
        openai.PermissionDeniedError,
        anthropic.PermissionDeniedError,
    ),
    (RateLimitError(), openai.RateLimitError, anthropic.RateLimitError),
    (APIError("down", 503, "upstream.unavailable"), openai.InternalServerError, anthropic.InternalServerError),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("error", "theirs", "claudes"), REFUSALS, ids=["forbidden", "rate", "down"])
async def test_a_refusal_is_the_vendors_own_error_and_asked_once(
    ctx: MockContext, oai: Any, claude: Any, error: Any, theirs: Any, claudes: Any, streamed: bool
) -> None:
    ctx.llm.set_response("fail", error)
    said = [{"role": "user", "content": "fail"}]
    with pytest.raises(theirs, match=str(error)):
        await oai.chat.completions.create(model="m", messages=said, stream=streamed)
    with pytest.raises(claudes, match=str(error)):
        await claude.messages.create(model="m", messages=said, max_tokens=5, stream=streamed)
    assert len(ctx.llm.requests) == 2


@pytest.mark.parametrize(
    "wrong", [{"n": 2}, {"temperature": 9}, {"logprobs": True}, {"messages": [{"role": "x"}]}, {"tool_choice": "maybe"}]
)
async def test_what_is_not_offered_is_a_bad_request(ctx: MockContext, oai: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError):
        await oai.chat.completions.create(**{"model": "m", "messages": HELLO, **wrong})
    assert ctx.llm.requests == []


# -- anthropic


async def test_anthropic_completes(ctx: MockContext, claude: anthropic.AsyncAnthropic) -> None:
    system: Any = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    answer = await claude.messages.create(model="m", max_tokens=9, system=system, messages=HELLO)
    assert answer.content[0].model_dump(exclude_none=True) == {"type": "text", "text": "grün and gold"}
    assert (answer.stop_reason, answer.usage.output_tokens) == ("end_turn", 3)
    assert (ctx.llm.requests[0].system, ctx.llm.requests[0].parameters.max_tokens) == ("Be brief.", 9)


async def test_anthropic_streams_text_and_tools(claude: anthropic.AsyncAnthropic) -> None:
    async with claude.messages.stream(model="m", max_tokens=9, messages=HELLO) as stream:
        assert "".join([text async for text in stream.text_stream]) == "grün and gold"
        final = await stream.get_final_message()
    assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("end_turn", 1, 3)
    tools: Any = [{"name": "weather", "input_schema": SCHEMA}]
    said: Any = [{"role": "user", "content": "weather?"}]
    async with claude.messages.stream(model="m", max_tokens=9, messages=said, tools=tools) as stream:
        final = await stream.get_final_message()
    assert [block.input for block in final.content if block.type == "tool_use"] == [
        {"city": "Oslo"},
        {"city": "Bergen"},
    ]
    assert final.stop_reason == "tool_use"


async def test_anthropic_takes_its_own_answer_back(ctx: MockContext, claude: anthropic.AsyncAnthropic) -> None:
    said: Any = [{"role": "user", "content": "weather?"}]
    answer = await claude.messages.create(model="m", max_tokens=9, messages=said)
    results = [{"type": "tool_result", "tool_use_id": block.id, "content": "hello"} for block in answer.content]  # type: ignore[union-attr]
    more: Any = [*said, {"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
    assert (await claude.messages.create(model="m", max_tokens=9, messages=more)).stop_reason == "end_turn"


async def test_anthropic_counts_and_lists_models(claude: anthropic.AsyncAnthropic) -> None:
    said: Any = [{"role": "user", "content": "three small words"}]
    assert (await claude.messages.count_tokens(model="m", messages=said)).input_tokens == 3
    assert [model.id async for model in claude.models.list()] == ["mock-model"]


# -- any client


async def test_plain_httpx_works_and_an_unknown_path_is_not_found(ctx: MockContext) -> None:
    async with ctx.llm.http_client(library="httpx") as client:
        assert isinstance(client, httpx.AsyncClient)
        answer = await client.post("/v1/chat/completions", json={"messages": HELLO})
        assert answer.json()["choices"][0]["message"]["content"] == "grün and gold"
        assert (await client.get("https://example.com/secrets")).status_code == 404
        assert (await client.post("/v1/messages", content=b"{")).status_code == 400


def test_a_library_that_is_not_there_is_named(ctx: MockContext) -> None:
    with pytest.raises(ImportError, match="among the extension's requirements"):
        ctx.llm.http_client(library="no_such_library")


async def test_closing_a_response_closes_the_stream(ctx: MockContext, oai: openai.AsyncOpenAI) -> None:
    stream = await oai.chat.completions.create(model="m", messages=HELLO, stream=True)
    await anext(aiter(stream))
    await stream.close()
    assert ctx.llm.streams_closed_early == 1


async def test_langchain_works(ctx: MockContext) -> None:
    model = ChatOpenAI(model="m", http_async_client=ctx.llm.http_client(), api_key=SecretStr("-"))
    assert (await model.ainvoke("hello")).content == "grün and gold"
    assert "".join([str(chunk.content) async for chunk in model.astream("hello")]) == "grün and gold"
