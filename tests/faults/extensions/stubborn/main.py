"""An extension that does not want to end: threads from its import on, signals ignored, nothing read or answered."""

import contextlib
import signal
import threading
import time

from imperal_sdk import ChatExtension, Context, Extension

ext = Extension("stubborn", version="1.0.0")
chat = ChatExtension(ext)


def never_end() -> None:
    while True:
        time.sleep(0.05)


for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    with contextlib.suppress(OSError, ValueError):
        signal.signal(number, signal.SIG_IGN)
for _ in range(8):
    threading.Thread(target=never_end).start()


@chat.function
async def hold(ctx: Context) -> dict:
    never_end()
    return {}


@chat.function
async def ignored(ctx: Context) -> dict:
    """The first line of what SIGTERM finds."""
    return {"term": signal.getsignal(signal.SIGTERM) == signal.SIG_IGN, "threads": threading.active_count()}
