"""Calls a model again and again, and measures what an author's code sees. Times in seconds."""

import asyncio
import re
import time
from typing import Any

from pydantic import BaseModel

from imperal_sdk import ChatExtension, Context, Extension
from imperal_sdk.llm import TextDelta

ext = Extension("models", version="1.0.0", display_name="Models", description="Calls a model again and again.")
chat = ChatExtension(ext)
_STAMP = re.compile(r"t(\d+) ")


class Load(BaseModel):
    calls: int
    at_once: int = 1
    text: str = "the quick brown fox jumps over the lazy dog"


@chat.function(description="Whole answers.", action_type="read")
async def completes(ctx: Context, params: Load) -> dict[str, Any]:
    messages, times = [{"role": "user", "content": params.text}], []

    async def caller() -> None:
        for _ in range(params.calls // params.at_once):
            begun = time.perf_counter()
            await ctx.llm.create_message(messages)
            times.append(time.perf_counter() - begun)

    await asyncio.gather(*(caller() for _ in range(params.at_once)))
    return {"times": times}


@chat.function(description="Streamed answers.", action_type="read")
async def streams(ctx: Context, params: Load) -> dict[str, Any]:
    messages, firsts, delays = [{"role": "user", "content": params.text}], [], []
    deltas = 0

    async def caller() -> None:
        nonlocal deltas
        for _ in range(params.calls // params.at_once):
            begun, first = time.perf_counter(), True
            async for delta in ctx.llm.stream(messages):
                if first:
                    firsts.append(time.perf_counter() - begun)
                    first = False
                if isinstance(delta, TextDelta):
                    deltas += 1
                    if stamp := _STAMP.match(delta.text):  # a paced upstream says when it sent this
                        delays.append(time.monotonic() - int(stamp[1]) / 1e6)

    await asyncio.gather(*(caller() for _ in range(params.at_once)))
    return {"firsts": firsts, "deltas": deltas, "delays": delays}
