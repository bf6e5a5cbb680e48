"""A line in which tenants take turns, however many of one tenant's stand in it."""

import asyncio
from collections import deque
from collections.abc import Hashable


class Turns:
    def __init__(self) -> None:
        self._lines: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self._called = 0

    @property
    def is_anyone_before(self) -> bool:
        """Whether somebody waits, or was called and has not come yet."""
        return bool(self._lines) or self._called > 0

    @property
    def called(self) -> int:
        """How many were called and have not come yet."""
        return self._called

    async def wait(self, who: Hashable, seconds: float) -> None:
        """Until it is this one's turn. Raises ``TimeoutError``."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(who, deque()).append(turn)
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():  # called, and gone all the same: the next one's luck
                self._called -= 1
                self.call_next()
            else:
                self._leave(who, turn)
            raise
        self._called -= 1

    def call_next(self) -> None:
        """One waits less, if any waits: the first of the tenant whose turn is longest ago."""
        while self._lines:
            who = next(iter(self._lines))
            line = self._lines.pop(who)
            while line and line[0].done():  # gave up, and is just leaving: costs the tenant no turn
                line.popleft()
            if line:
                turn = line.popleft()
                if line:
                    self._lines[who] = line
                turn.set_result(None)
                self._called += 1
                return

    def _leave(self, who: Hashable, turn: asyncio.Future[None]) -> None:
        line = self._lines.get(who)
        if line and turn in line:
            line.remove(turn)
            if not line:
                del self._lines[who]
