"""An extension that goes wrong when it is told to."""

import asyncio
import os
import socket
import time

from imperal_sdk import ChatExtension, Context, Extension

ext = Extension("faulty", version="1.0.0")
chat = ChatExtension(ext)


@chat.function
async def fine(ctx: Context) -> dict:
    return {"fine": True}


@chat.function
async def hangs(ctx: Context) -> dict:
    await asyncio.sleep(3600)
    return {}


@chat.function
async def asks(ctx: Context) -> dict:
    await ctx.llm.create_message([{"role": "user", "content": "x"}], max_tokens=1)
    return {}


@chat.function
async def fills_memory(ctx: Context) -> dict:
    held = []
    while True:
        held.append(bytearray(8 << 20))


@chat.function
async def floods(ctx: Context) -> dict:
    """Whole messages, and so many that the host cannot take them all."""
    channel = socket.socket(fileno=os.dup(3))
    channel.setblocking(True)
    body = b'{"type":"ask","call_id":"none","ask_id":1,"capability":"log","payload":{"text":"' + b"x" * 2000 + b'"}}'
    while True:
        channel.sendall(len(body).to_bytes(4, "big") + body)


@chat.function
async def floods_with_asks(ctx: Context) -> dict:
    while True:
        ctx.log.debug("x" * 1000)
        await asyncio.sleep(0)


@chat.function
async def sleeps_without_reading(ctx: Context) -> dict:
    time.sleep(3600)
    return {}
