"""What the benchmarks call: an echo through a pydantic model, and one that asks its host once."""

from typing import Any

from pydantic import BaseModel, Field

from imperal_sdk import ChatExtension, Context, Extension

ext = Extension("echo", version="1.0.0", display_name="Echo", description="Say it again.")
chat = ChatExtension(ext)


class EchoParams(BaseModel):
    text: str = Field(min_length=1)
    number: int = Field(ge=0)
    tags: list[str] = []


@chat.function(description="Say it again.")
async def echo(ctx: Context, params: EchoParams) -> dict[str, Any]:
    return params.model_dump()


@chat.function(description="Say what the model says.")
async def asks(ctx: Context, params: EchoParams) -> dict[str, Any]:
    answer = await ctx.llm.create_message([{"role": "user", "content": params.text}])
    return {"text": answer.text}


@chat.function(description="Count the deltas of a streamed answer.", action_type="read")
async def streams(ctx: Context, params: EchoParams) -> dict[str, Any]:
    deltas = 0
    async with ctx.llm.stream([{"role": "user", "content": params.text}]) as stream:
        async for delta in stream:
            deltas += delta.type == "text"
    return {"deltas": deltas}
