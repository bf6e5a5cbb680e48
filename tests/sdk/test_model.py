"""``ctx.llm`` in all its forms, over scripted answers."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from imperal_sdk import APIError, ValidationError
from imperal_sdk.errors import AnswerFormatError
from imperal_sdk.llm import StopDelta, TextDelta, ToolUseBlock, ToolUseDelta, UsageDelta
from imperal_sdk.model.tools import DescribedFunction
from imperal_sdk.testing import MockContext

HELLO = [{"role": "user", "content": "hello"}]


class City(BaseModel):
    name: str
    people: int


def use(name: str, number_: int = 1, /, **arguments: Any) -> ToolUseBlock:
    return ToolUseBlock(id=f"use{number_}", name=name, input=arguments)


async def weather(city: str, days: int = 1) -> str:
    """The weather of a city."""
    return f"sunny in {city} for {days}"


# -- streams


async def test_a_stream_gives_typed_deltas_then_usage_and_stop_and_the_whole() -> None:
    ctx = MockContext()
    ctx.llm.set_response("hello", "one two three")
    async with ctx.llm.stream(HELLO, temperature=0.0) as stream:
        with pytest.raises(RuntimeError, match="has not ended"):
            _ = stream.completion
        deltas = [delta async for delta in stream]
    assert [d.text for d in deltas if isinstance(d, TextDelta)] == ["one ", "two ", "three"]
    assert [type(d) for d in deltas[3:]] == [UsageDelta, StopDelta]
    assert stream.completion.text == "one two three"
    assert ctx.llm.requests[0].parameters.said() == {"temperature": 0.0}


async def test_text_alone_and_the_end_alone() -> None:
    ctx = MockContext()
    assert [text async for text in ctx.llm.stream(HELLO).text_stream] == ["mock ", "response"]
    assert (await ctx.llm.stream(HELLO).final_completion()).text == "mock response"


async def test_leaving_a_stream_closes_it() -> None:
    ctx = MockContext()
    async with ctx.llm.stream(HELLO) as stream:
        async for _ in stream:
            break
    assert ctx.llm.streams_closed_early == 1
    assert [delta async for delta in stream] == []


async def test_a_tool_use_comes_in_pieces() -> None:
    ctx = MockContext()
    ctx.llm.set_response("", [use("weather", city="Oslo")])
    deltas = [d async for d in ctx.llm.stream(HELLO, tools=[{"name": "weather"}]) if isinstance(d, ToolUseDelta)]
    assert (deltas[0].id, deltas[0].name, deltas[1].partial_json) == ("use1", "weather", '{"city": "Oslo"}')


async def test_a_failure_of_a_stream_is_raised_where_it_is_read() -> None:
    ctx = MockContext()
    ctx.llm.set_response("", APIError("gone", 503, "upstream.unavailable"))
    with pytest.raises(APIError, match="gone"):
        await ctx.llm.stream(HELLO).final_completion()


def test_a_wrong_argument_is_said_before_anything_is_asked() -> None:
    llm = MockContext().llm
    with pytest.raises(ValidationError, match=r"parameters\.temperature"):
        llm.stream(HELLO, temperature=9)
    with pytest.raises(TypeError, match="unexpected argument 'temprature'"):
        llm.stream(HELLO, temprature=1)  # type: ignore[call-arg]


# -- structured answers


async def test_an_answer_is_read_as_the_model_that_was_asked_for() -> None:
    ctx = MockContext()
    ctx.llm.set_response("hello", City(name="Oslo", people=700_000))
    answer = await ctx.llm.create_message(HELLO, response_model=City)
    assert answer.parsed == City(name="Oslo", people=700_000)
    assert answer.usage.input_tokens == 1
    schema = ctx.llm.requests[0].response_schema
    assert schema is not None
    assert (schema.name, schema.json_schema["required"]) == ("City", ["name", "people"])


async def test_a_fence_around_it_is_no_fault() -> None:
    ctx = MockContext()
    ctx.llm.set_response("hello", '```json\n{"name": "Oslo", "people": 1}\n```')
    assert (await ctx.llm.create_message(HELLO, response_model=City)).parsed.people == 1


async def test_a_wrong_answer_is_sent_back_once_with_what_is_wrong() -> None:
    ctx = MockContext()
    ctx.llm.set_response("not valid.*people: .*integer", City(name="Oslo", people=2))
    ctx.llm.set_response("hello", '{"name": "Oslo", "people": "many"}')
    assert (await ctx.llm.create_message(HELLO, response_model=City)).parsed.people == 2
    assert [message.role for message in ctx.llm.requests[1].messages] == ["user", "assistant", "user"]


async def test_two_wrong_answers_are_an_error_that_says_what_and_shows_it() -> None:
    ctx = MockContext()
    ctx.llm.set_response("", "no JSON")
    with pytest.raises(AnswerFormatError, match="City: the answer does not fit") as raised:
        await ctx.llm.create_message(HELLO, response_model=City)
    assert (raised.value.text, len(ctx.llm.requests)) == ("no JSON", 2)


# -- tools


async def test_tools_run_until_the_model_asks_for_no_more() -> None:
    ctx = MockContext()
    ctx.llm.set_response("sunny in Oslo for 2", "It is sunny.")
    ctx.llm.set_response("hello", [use("weather", city="Oslo", days=2)])
    run = await ctx.llm.run_tools(HELLO, [weather])
    assert (run.text, run.rounds, run.stopped_by) == ("It is sunny.", 2, "model")
    assert [message["role"] for message in run.messages] == ["user", "assistant", "user", "assistant"]
    (tool,) = ctx.llm.requests[0].tools
    assert (tool.name, tool.description, tool.input_schema["required"]) == (
        "weather",
        "The weather of a city.",
        ["city"],
    )


async def test_what_a_tool_raises_is_told_to_the_model_and_others_run_at_once() -> None:
    started = 0
    both = asyncio.Event()

    async def waits(number: int) -> int:
        nonlocal started
        started += 1
        if started == 2:
            both.set()
        async with asyncio.timeout(5):
            await both.wait()
        if number == 2:
            raise KeyError("nope")
        return number

    ctx = MockContext()
    ctx.llm.set_response("KeyError", "done")
    uses = [use("waits", 1, number=1), use("waits", 2, number=2), use("waits", 3, number="x"), use("other", 4)]
    ctx.llm.set_response("hello", uses)
    run = await ctx.llm.run_tools(HELLO, [waits])
    results = [(r["content"], r["is_error"]) for r in run.messages[2]["content"]]
    assert results[:2] == [("1", False), ("KeyError: 'nope'", True)]
    assert results[2][0].startswith("invalid: number: ")
    assert results[3] == ("there is no tool 'other'", True)


@pytest.mark.parametrize(
    ("bounds", "why"), [({"max_rounds": 3}, "rounds"), ({"tokens_max": 5}, "tokens"), ({"seconds_max": 0.2}, "seconds")]
)
async def test_a_loop_without_end_is_bounded(bounds: dict[str, Any], why: str) -> None:
    async def again() -> str:
        await asyncio.sleep(0.02)
        return "hello"

    ctx = MockContext()
    ctx.llm.set_response("", [use("again")])
    run = await ctx.llm.run_tools(HELLO, [again], **{"max_rounds": 10_000, **bounds})
    assert run.stopped_by == why
    assert run.rounds < 100


def test_a_tool_may_take_one_model_and_a_tool_that_cannot_be_described_is_refused() -> None:
    async def move(to: City) -> str:
        return to.name

    async def vague(anything) -> None:  # type: ignore[no-untyped-def]
        ...

    async def many(*numbers: int) -> None: ...

    assert DescribedFunction(move).tool.input_schema["required"] == ["name", "people"]
    for function in (vague, many):
        with pytest.raises(TypeError, match=function.__name__):
            DescribedFunction(function)


# -- the rest


async def test_many_texts_are_embedded_in_their_order() -> None:
    ctx = MockContext()
    ctx.llm.set_embeddings({"text 50": [0.5, 0.25]})
    embeddings = await ctx.llm.embed([f"text {number}" for number in range(100)], model="m")
    assert (len(embeddings.vectors), embeddings.vectors[50], embeddings.vectors[51]) == (100, (0.5, 0.25), (1.0, 0.0))
    assert embeddings.usage.input_tokens == 200
    assert {request.purpose for request in ctx.llm.embed_requests} == {"embedding"}


async def test_a_call_can_be_counted_and_priced_before_it_is_made() -> None:
    ctx = MockContext()
    assert await ctx.llm.count_tokens([{"role": "user", "content": "three small words"}]) == 3
    assert (await ctx.llm.estimate_cost(HELLO, max_tokens=7)).output_tokens_max == 7
    assert ctx.llm.requests == []
