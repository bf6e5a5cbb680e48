"""An answer, read as it comes."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Protocol, Self

from pydantic import TypeAdapter

from imperal_sdk.llm import Completion, Delta, StopDelta, TextDelta, UsageDelta

_BATCH: TypeAdapter[list[Delta]] = TypeAdapter(list[Delta])


class Parts(Protocol):
    """A streamed ask in progress."""

    async def next(self) -> list[dict[str, Any]] | None:
        """The next items, or ``None`` at the end: then ``answer`` is there. Raises ``ImperalError``."""
        ...

    @property
    def answer(self) -> dict[str, Any]: ...

    def close(self) -> None:
        """Cancel it, unless it is over."""
        ...


class CompletionStream:
    """Typed deltas of one answer, in order: text, thinking, tool uses, then usage and stop.

        async with ctx.llm.stream(messages) as stream:
            async for delta in stream:
                ...
        stream.completion.text

    It is asked for on entering, or with the first delta. Leaving it before its end closes the upstream at once.
    Raises what ``create_message`` raises, also between two deltas.
    """

    def __init__(self, open_: Callable[[], Parts]) -> None:
        self._open = open_
        self._parts: Parts | None = None
        self._deltas: deque[Delta] = deque()
        self._last: set[type] = {UsageDelta, StopDelta}
        self._completion: Completion | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        self._begun()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delta:
        while not self._deltas:
            if self._completion is not None or self._is_closed:
                raise StopAsyncIteration
            parts = self._begun()
            items = await parts.next()
            if items is None:
                self._end(Completion.model_validate(parts.answer))
            else:
                self._deltas.extend(_BATCH.validate_python(items))
        delta = self._deltas.popleft()
        self._last.discard(type(delta))
        return delta

    @property
    async def text_stream(self) -> AsyncIterator[str]:
        """Only the text, in pieces."""
        async for delta in self:
            if isinstance(delta, TextDelta):
                yield delta.text

    @property
    def completion(self) -> Completion:
        """The whole answer. Raises ``RuntimeError`` before the end."""
        if self._completion is None:
            raise RuntimeError("the stream has not ended: read it to its end, or await final_completion()")
        return self._completion

    async def final_completion(self) -> Completion:
        """Read what is left, and give the whole answer."""
        async for _ in self:
            pass
        return self.completion

    def close(self) -> None:
        """Close it, and the upstream if that still answers. What came and was not read is dropped."""
        self._is_closed = True
        self._deltas.clear()
        if self._parts is not None:
            self._parts.close()

    async def aclose(self) -> None:
        self.close()

    def __del__(self) -> None:
        if self._parts is not None:  # left by ``break``, without ``async with``
            self._parts.close()

    def _begun(self) -> Parts:
        if self._parts is None:
            self._parts = self._open()
        return self._parts

    def _end(self, completion: Completion) -> None:
        self._completion = completion
        ends = (UsageDelta(usage=completion.usage), StopDelta(stop_reason=completion.stop_reason))
        self._deltas.extend(delta for delta in ends if type(delta) in self._last)
