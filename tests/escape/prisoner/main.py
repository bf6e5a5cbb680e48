"""An extension that is looked at from outside."""

import os
import threading

from imperal_sdk import ChatExtension, Context, Extension

ext = Extension("prisoner", version="1.0.0")
chat = ChatExtension(ext)


@chat.function
async def leave_a_thread_behind(ctx: Context) -> dict:
    def spin() -> None:
        while True:
            pass

    threading.Thread(target=spin, daemon=True).start()
    return {}


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
