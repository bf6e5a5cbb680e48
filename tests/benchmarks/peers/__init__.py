"""What the sandbox is compared with, one file each: how others run a piece of somebody's Python.

Each peer echoes the same arguments through a pydantic model. ``opened()`` starts one and yields its ``call``
when it is ready to take one; on leaving, all its processes have ended. A peer whose library or program is not
here raises ``NotInstalledError``, and its row says so.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

Call = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class NotInstalledError(Exception):
    """The message names what is missing."""


@dataclass(frozen=True, slots=True)
class Peer:
    """``is_process``: it has a process of its own, so that starting it and its memory mean something."""

    name: str
    opened: Callable[[], AbstractAsyncContextManager[Call]]
    is_process: bool = True
