"""Many askers, one turn: what is asked while a turn is under way is answered together by the next."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")


class Unstoppable(asyncio.Future[T]):
    """Stands for work that was begun and will end: cancelling who waits for it cancels nothing, it only makes them
    learn of it afterwards. (A task whose future refuses to be cancelled is cancelled once the future is done.)"""

    __slots__ = ()

    def cancel(self, msg: Any = None) -> bool:
        return False

    def settle(self, error: BaseException | None, result: Any) -> None:
        if error is None:
            self.set_result(result)
        else:  # StopIteration is the one exception that a future does not take
            self.set_exception(RuntimeError(repr(error)) if isinstance(error, StopIteration) else error)


async def ended(future: Unstoppable[T]) -> T:
    """What was begun is waited for. A caller that is cancelled meanwhile is told so only if the work is done:
    if it failed, the failure is what they get."""
    try:
        return await future
    except asyncio.CancelledError:
        if future.done():
            future.result()
        raise


class Batches(Generic[A, B]):
    """One turn at a time, each for all that was asked until it began, ``items_max`` at most, first come first.

    ``start`` begins the work of a turn: it gives an answer, or an exception, for each item in the same order. If
    it fails as a whole, it has failed for every item. There is no delay: a lone item is a turn of its own.
    """

    def __init__(self, start: Callable[[list[A]], Unstoppable[list[B | BaseException]]], items_max: int) -> None:
        self._start = start
        self._items_max = items_max
        self._waiting: deque[tuple[A, Unstoppable[B]]] = deque()
        self._turning = False

    async def ask(self, item: A) -> B:
        loop = asyncio.get_running_loop()
        told: Unstoppable[B] = Unstoppable(loop=loop)
        self._waiting.append((item, told))
        if not self._turning:
            self._turning = True
            loop.call_soon(self._turn)  # whoever else is about to ask in this round of the loop comes along
        return await ended(told)

    def flush(self) -> None:
        """Begin the work of all that was asked, now."""
        while self._waiting:
            self._begin()

    def _turn(self) -> None:
        self._turning = bool(self._waiting)
        if self._turning:
            self._begin().add_done_callback(self._go_on)

    def _go_on(self, _: object) -> None:
        # After those who were just told have run: they often ask again.
        asyncio.get_running_loop().call_soon(self._turn)

    def _begin(self) -> asyncio.Future[Any]:
        batch = [self._waiting.popleft() for _ in range(min(self._items_max, len(self._waiting)))]
        try:
            work = self._start([item for item, _ in batch])
        except Exception as error:
            work = Unstoppable(loop=asyncio.get_running_loop())
            work.settle(error, None)
        work.add_done_callback(lambda done: _tell([told for _, told in batch], done))
        return work


def _tell(askers: list[Unstoppable[B]], done: asyncio.Future[list[B | BaseException]]) -> None:
    error = done.exception()
    answers = [error] * len(askers) if error is not None else done.result()
    for told, answer in zip(askers, answers, strict=True):
        told.settle(answer if isinstance(answer, BaseException) else None, answer)
