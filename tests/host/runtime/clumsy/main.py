"""An extension that fails in the ways that are hard to see."""

import asyncio
import itertools
import threading
from typing import Any

from pydantic import BaseModel
from side import look_up

from imperal_sdk import ChatExtension, Context, Extension
from imperal_sdk.errors import ImperalError

ext = Extension("clumsy", version="1.0.0", display_name="Clumsy")
chat = ChatExtension(ext)
LEFT: list[asyncio.Task[None]] = []


class Much(BaseModel):
    text: str


class Count(BaseModel):
    count: int
    size: int


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


@chat.function
async def awaits(ctx: Context) -> dict[str, Any]:
    await asyncio.sleep(0.01)
    return {"found": [await asyncio.to_thread(len, "four")]}


@chat.function
async def leaves_a_task_behind(ctx: Context) -> dict[str, Any]:
    async def goes_on() -> None:
        while True:
            await asyncio.sleep(0.001)
            ctx.log.info("still here")

    LEFT.append(asyncio.create_task(goes_on()))
    return {}


@chat.function
async def returns_nan(ctx: Context) -> dict[str, Any]:
    return {"deep": [{"it": float("nan")}]}


@chat.function
async def echoes(ctx: Context, params: Much) -> dict[str, Any]:
    return {"text": params.text}


@chat.function
async def asks_much(ctx: Context, params: Count) -> dict[str, Any]:
    answers = await asyncio.gather(*(ctx.ai.complete("x" * params.size) for _ in range(params.count)))
    return {"sizes": sorted({len(answer.text) for answer in answers}), "count": len(answers)}


@chat.function
async def prints_much(ctx: Context) -> dict[str, Any]:
    for _ in range(3_000):
        print("y" * 1_000)
    return {"done": True}


@chat.function
async def takes_memory(ctx: Context) -> dict[str, Any]:
    return {"size": len(bytearray(1 << 30))}


@chat.function
async def opens_files(ctx: Context) -> dict[str, Any]:
    held = [open("/dev/null") for _ in range(1_000)]  # noqa: SIM115
    return {"held": len(held)}


@chat.function
async def writes_a_big_file(ctx: Context) -> dict[str, Any]:
    with open("big", "wb", buffering=0) as file:
        while True:
            file.write(b"x" * (1 << 20))


@chat.function
async def fills_the_scratch(ctx: Context) -> dict[str, Any]:
    for number in itertools.count():
        with open(f"file-{number}", "wb", buffering=0) as file:
            file.write(b"x" * (1 << 18))
    return {}


@chat.function
async def makes_files(ctx: Context) -> dict[str, Any]:
    for number in itertools.count():
        open(f"small-{number}", "wb").close()
    return {}


@chat.function
async def starts_threads(ctx: Context) -> dict[str, Any]:
    over = threading.Event()
    try:
        for _ in range(1_000):
            threading.Thread(target=over.wait, daemon=True).start()
    finally:
        over.set()
    return {}


@chat.function
async def uses_the_processor(ctx: Context) -> dict[str, Any]:
    while True:
        pass


HELLO = [{"role": "user", "content": "hello"}]


@chat.function
async def reads_a_stream(ctx: Context) -> dict[str, Any]:
    async with ctx.llm.stream(HELLO) as stream:
        kinds = [delta.type async for delta in stream]
    return {"kinds": sorted(set(kinds)), "count": len(kinds), "text": stream.completion.text}


@chat.function
async def leaves_streams(ctx: Context, params: Count) -> dict[str, Any]:
    for _ in range(params.count):
        async for _ in ctx.llm.stream(HELLO):
            break
    await asyncio.sleep(0.3)  # the cancels are on their way
    return {"left": params.count}


@chat.function
async def gives_up_an_answer(ctx: Context) -> dict[str, Any]:
    try:
        async with asyncio.timeout(0.1):
            await ctx.llm.create_message(HELLO)
    except TimeoutError:
        await asyncio.sleep(0.3)
        return {"gave_up": True}
    return {"gave_up": False}


@chat.function
async def keeps_streams_open(ctx: Context, params: Count) -> dict[str, Any]:
    for _ in range(params.count):
        LEFT.append(ctx.llm.stream(HELLO))  # type: ignore[arg-type]
        await anext(LEFT[-1])  # type: ignore[call-overload]
    return {}


@chat.function
async def drops_what_it_kept(ctx: Context) -> dict[str, Any]:
    LEFT.clear()
    return {"fine": True}
