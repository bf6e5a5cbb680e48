"""An extension that fails in the ways that are hard to see."""

import asyncio
from typing import Any

from side import look_up

from imperal_sdk import ChatExtension, Context, Extension
from imperal_sdk.errors import ImperalError

ext = Extension("clumsy", version="1.0.0", display_name="Clumsy")
chat = ChatExtension(ext)


@chat.function
async def fine(ctx: Context) -> dict[str, Any]:
    return {"fine": True}


@chat.function
async def awaits_what_it_cancelled(ctx: Context) -> dict[str, Any]:
    task = asyncio.create_task(asyncio.sleep(60))
    task.cancel()
    await task
    return {}


@chat.function
async def has_a_number_for_a_code(ctx: Context) -> dict[str, Any]:
    raise ImperalError("x", code=5)  # type: ignore[arg-type]


@chat.function
async def fails_deep_inside(ctx: Context) -> dict[str, Any]:
    return look_up({}, "nope")


@chat.function
async def raises_half_a_character(ctx: Context) -> dict[str, Any]:
    raise ValueError("\ud800")


@chat.function
async def returns_a_huge_number(ctx: Context) -> dict[str, Any]:
    return {"it": 10**5000}


@chat.function
async def prints_and_hangs(ctx: Context) -> dict[str, Any]:
    print("here I am")
    await asyncio.sleep(60)
    return {}
