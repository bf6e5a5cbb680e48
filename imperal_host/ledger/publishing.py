"""Checkpoints on their way to the witness: the newest one, about once a second, beside the work."""

import asyncio
from collections.abc import Awaitable, Callable

from imperal_host.errors import HostError
from imperal_host.ledger.witness import Witness
from imperal_host.log import logger

_PAUSE_SECONDS = 1.0


class Publishing:
    """A witness that cannot be reached stops nothing: it is logged, and tried again with the next row."""

    def __init__(self, witness: Witness | None, newest: Callable[[], Awaitable[str | None]]) -> None:
        self._witness = witness
        self._newest = newest
        self._task: asyncio.Task[None] | None = None
        self._published: str | None = None
        self._is_behind = False
        self._log = logger("ledger")

    def soon(self) -> None:
        self._is_behind = True
        if self._witness is not None and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._later())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._witness is not None:
            await self._publish()

    async def _later(self) -> None:
        while self._is_behind:
            await asyncio.sleep(_PAUSE_SECONDS)
            self._is_behind = False
            await self._publish()

    async def _publish(self) -> None:
        assert self._witness is not None
        try:
            note = await self._newest()
            if note is not None and note != self._published:
                await asyncio.to_thread(self._witness.publish, note)
                self._published = note
        except (OSError, HostError, RuntimeError) as error:  # the last: the database was closed meanwhile
            self._log.warning("witness.not_told", error=str(error))
