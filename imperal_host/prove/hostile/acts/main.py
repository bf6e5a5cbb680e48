"""The hostile extension of ``imperal-host prove``: one attempt a call, and what became of it.

It runs in an isolate only, like any extension; the host reads its answers and never its code.
"""

import os

import at_the_broker
import at_the_channel
import files
import identities
import limits
import mappings
import network
import opened
import processes
import raw_calls
from pydantic import BaseModel
from registry import ACTS, report

from imperal_sdk import ChatExtension, Context, Extension

KINDS = (
    files,
    processes,
    network,
    opened,
    mappings,
    raw_calls,
    limits,
    at_the_channel,
    at_the_broker,
    identities,
)

ext = Extension("acts", version="1.0.0", display_name="Acts", description="Tries to get out of its isolate.")
chat = ChatExtension(ext)


class Try(BaseModel):
    name: str
    targets: dict[str, str | int]


@chat.function(description="Make one attempt and say what became of it.", action_type="read")
async def attempt(ctx: Context, params: Try) -> dict:
    return await report(params.name, dict(params.targets), ctx)


@chat.function(description="The names of all attempts.", action_type="read")
async def names(ctx: Context) -> dict:
    return {"names": sorted(ACTS)}


@chat.function(description="Answer, as any function does.", action_type="read")
async def answer(ctx: Context) -> dict:
    return {"text": "here"}


@chat.function(description="End this isolate, so that the next attempt gets a clean one.", action_type="read")
async def leave(ctx: Context) -> dict:
    os._exit(0)
