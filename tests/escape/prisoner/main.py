"""A hostile extension with one tool an act: it makes any system call and writes anything to its channel."""

import ctypes
import errno
import os
import threading
from pathlib import Path

from pydantic import BaseModel

from imperal_sdk import ChatExtension, Context, Extension

ext = Extension("prisoner", version="1.0.0")
chat = ChatExtension(ext)
libc = ctypes.CDLL(None, use_errno=True)


class SystemCall(BaseModel):
    number: int
    arguments: list[int] = []


class Bytes(BaseModel):
    hexadecimal: str
    times: int = 1


class Size(BaseModel):
    size: int


class Question(BaseModel):
    capability: str
    payload: dict


@chat.function
async def system_call(ctx: Context, params: SystemCall) -> dict:
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(params.number), *map(ctypes.c_long, params.arguments))
    return {"result": result, "errno": errno.errorcode.get(ctypes.get_errno(), "")}


@chat.function
async def write_to_the_channel(ctx: Context, params: Bytes) -> dict:
    for _ in range(params.times):
        os.write(3, bytes.fromhex(params.hexadecimal))
    return {}


@chat.function
async def ask(ctx: Context, params: Question) -> dict:
    return {"answer": await ctx.llm._ask(params.capability, params.payload)}


@chat.function
async def take_memory(ctx: Context, params: Size) -> dict:
    taken = bytearray(params.size)
    return {"taken": len(taken)}


@chat.function
async def fill_the_disk(ctx: Context, params: Size) -> dict:
    written = 0
    for index in range(10_000):
        with Path(f"/scratch/t/{index}").open("wb") as file:
            written += file.write(b"x" * params.size)
    return {"written": written}


@chat.function
async def start_threads(ctx: Context, params: Size) -> dict:
    gate = threading.Event()
    started = 0
    try:
        for _ in range(params.size):
            threading.Thread(target=gate.wait, daemon=True).start()
            started += 1
    finally:
        gate.set()
    return {"started": started}


@chat.function
async def leave_a_thread_behind(ctx: Context) -> dict:
    def spin() -> None:
        while True:
            pass

    threading.Thread(target=spin, daemon=True).start()
    return {}


@chat.function
async def open_files(ctx: Context, params: Size) -> dict:
    held = [open("/dev/null") for _ in range(params.size)]  # noqa: SIM115
    return {"opened": len(held)}


@chat.function
async def look_around(ctx: Context) -> dict:
    return {
        "uid": os.getuid(),
        "pid": os.getpid(),
        "environment": dict(os.environ),
        "descriptors": [number for number in range(64) if _is_open(number)],
        "hostname": os.uname().nodename,
    }


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
