"""What an author tests with: the real ``Context``, with answers from a script."""

from typing import Any

import pydantic
import pytest
from pydantic import BaseModel

from imperal_sdk import ActionResult, APIError, ChatExtension, Context, Extension, NotFoundError, ValidationError
from imperal_sdk.testing import MockContext, call_function

ext = Extension("test-ext")
chat = ChatExtension(ext)


class Params(BaseModel):
    text: str
    times: int = 1


@chat.function
async def shout(ctx: Context, params: Params) -> dict[str, str]:
    answer = await ctx.llm.create_message([{"role": "user", "content": params.text}], temperature=0.0)
    return {"text": answer.text.upper() * params.times}


@chat.function
async def refuse(ctx: Context) -> ActionResult[Any]:
    return ActionResult.error("not today", code="LATER")


async def test_a_function_is_called_as_the_host_calls_it() -> None:
    ctx = MockContext()
    result = await call_function(ext, "shout", ctx, text="hello", times="2")

    assert result == ActionResult.success({"text": "MOCK RESPONSEMOCK RESPONSE"})
    assert [request.messages[-1].text for request in ctx.llm.requests] == ["hello"]
    assert ctx.llm.requests[0].parameters.said() == {"temperature": 0.0}


async def test_a_result_is_handed_on_as_it_is() -> None:
    assert await call_function(ext, "refuse", MockContext()) == ActionResult.error("not today", code="LATER")


async def test_a_function_nobody_declared_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="whisper"):
        await call_function(ext, "whisper", MockContext())


@pytest.mark.parametrize("arguments", [{}, {"text": "hello", "times": "often"}])
async def test_wrong_arguments_are_refused(arguments: dict[str, Any]) -> None:
    ctx = MockContext()
    with pytest.raises(pydantic.ValidationError):
        await call_function(ext, "shout", ctx, **arguments)
    assert ctx.llm.requests == []


async def test_the_first_pattern_found_answers_and_the_rest_is_a_default() -> None:
    ctx = MockContext()
    ctx.llm.set_response("summar.*text", "short")
    ctx.llm.set_response("text", "long")
    asked = ["summarize\nthis text", "a text", "something else"]

    assert [(await ctx.ai.complete(prompt)).text for prompt in asked] == ["short", "long", "mock response"]


async def test_ctx_ai_and_ctx_llm_read_one_script() -> None:
    ctx = MockContext()
    ctx.ai.set_response("hello", "hi")

    assert (await ctx.llm.create_message([{"role": "user", "content": "hello"}])).text == "hi"
    assert (await ctx.ai.complete("hello")).text == "hi"
    assert len(ctx.llm.requests) == 2


async def test_an_exception_in_the_script_is_raised() -> None:
    ctx = MockContext()
    refusal = APIError("no money", 402, "budget.exhausted")
    ctx.llm.set_response("", refusal)

    with pytest.raises(APIError) as caught:
        await call_function(ext, "shout", ctx, text="hello")
    assert caught.value is refusal


async def test_a_request_is_checked_as_strictly_as_the_real_one() -> None:
    with pytest.raises(ValidationError, match="temperature"):
        await MockContext().llm.create_message([{"role": "user", "content": "x"}], temperature=9)


async def test_logs_and_progress_are_kept_apart() -> None:
    ctx = MockContext()
    ctx.log.info("one", count=1)
    await ctx.log("two", level="warn")
    ctx.progress(50, "half")

    assert ctx.logs == [
        {"level": "info", "message": "one", "fields": {"count": 1}},
        {"level": "warning", "message": "two", "fields": {}},
    ]
    assert ctx.progress_reports == [{"percent": 50.0, "message": "half"}]


async def test_the_call_is_whosever_the_test_says() -> None:
    ctx = MockContext(
        "u1", "u1@example.com", "admin", ["*"], "t1", config={"a": {"b": 1}}, is_byollm=True, provider="p", model="m"
    )

    assert (ctx.user.imperal_id, ctx.user.email, ctx.user.role, ctx.user.scopes) == (
        "u1",
        "u1@example.com",
        "admin",
        ["*"],
    )
    assert ctx.user.tenant_id == ctx.tenant.tenant_id == "t1"
    assert ctx.config.get("a.b") == 1
    assert (ctx.llm.is_byollm, ctx.llm.provider, ctx.llm.model) == (True, "p", "m")
    answer = await ctx.llm.create_message([{"role": "user", "content": "two words"}])
    assert (answer.is_byollm, answer.provider, answer.model) == (True, "p", "m")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (2, 2)


def test_every_test_sees_the_same_time() -> None:
    assert MockContext().time.now_utc == "2026-01-01T00:00:00+00:00"
