"""The host's side of every figure: settings in a temporary place, the echo extension, callers, a broker."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from imperal_host.app import make_pool
from imperal_host.catalog.discovery import from_folder
from imperal_host.clock import SystemClock, new_id
from imperal_host.identity import CallId, Principal, TenantId, UserId
from imperal_host.runtime.isolate import Isolate
from imperal_host.runtime.pool import Pool
from imperal_host.settings import Settings
from imperal_sdk.llm import Completion, TextBlock, Usage
from imperal_sdk.wire import CallContext, LlmView
from tests.benchmarks.measure import Effort

EXTENSIONS = Path(__file__).parent / "extensions"
ECHO = from_folder(EXTENSIONS / "echo")
ARGUMENTS: dict[str, Any] = {"text": "the quick brown fox jumps over the lazy dog", "number": 7, "tags": ["a", "b"]}
ANSWER_TEXT = "hello"
CALL_SECONDS_MAX = 30.0

_CLOCK = SystemClock()
CONTEXT = CallContext("ada", "ada@acme.example", "acme", "user", [], LlmView(False, "bench", "bench"), 0.0, {})
_ANSWER = Completion(
    content=(TextBlock(text=ANSWER_TEXT),),
    model="bench",
    provider="bench",
    stop_reason="end_turn",
    usage=Usage(input_tokens=1, output_tokens=1),
    is_byollm=False,
).model_dump(mode="json")
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class World:
    """What a group of figures gets. ``place`` is a directory of its own on the disk where the ledger would be."""

    effort: Effort
    place: Path

    def settings(self, **changes: Any) -> Settings:
        place = Path(tempfile.mkdtemp(dir=self.place))
        base = {"data_dir": place / "data", "kek_file": place / "keys" / "kek", "cache_dir": place / "cache"}
        return Settings.model_validate({**base, **changes})

    @asynccontextmanager
    async def pool(self, **changes: Any) -> AsyncIterator[Pool]:
        pool = make_pool(self.settings(**changes), _CLOCK)
        try:
            yield pool
        finally:
            await pool.aclose()


class AnsweringBroker:
    """Has every model's answer ready: what a round trip costs is then the channel's."""

    async def ask(self, capability: str, payload: dict[str, Any]) -> dict[str, Any]:
        assert capability == "llm.complete", capability
        return _ANSWER


_BROKER = AnsweringBroker()


def someone_new() -> Principal:
    """A principal that was never seen before."""
    number = next(_numbers)
    return Principal(TenantId(f"tenant{number}"), UserId(f"user{number}"))


async def invoke(isolate: Isolate, function: str = "echo") -> dict[str, Any]:
    """One call with a pydantic model for its arguments."""
    return await isolate.invoke(CallId(new_id(_CLOCK)), function, ARGUMENTS, CONTEXT, _BROKER, CALL_SECONDS_MAX)


@contextmanager
def world(effort: Effort, parent: Path | None) -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="imperal-bench-", dir=parent) as place:
        yield World(effort, Path(place))
