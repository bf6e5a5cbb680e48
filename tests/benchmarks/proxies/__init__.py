"""What the gateway is compared with: LLM proxies, each in front of the same fast upstream, under the same load.

A proxy is installed by ``make proxies`` into an environment of its own (they cannot share one); what is not
there is said in its row. ``opened(upstream_port)`` starts one process of one worker and yields its ``Door``; on
leaving, it has ended. ``upstream.c`` answers over 100,000 requests/s and ``load.c`` is a closed-loop client: so
the proxy is what is measured. Both are compiled where the benchmark runs.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Door:
    """Where the proxy answers, and what its requests need beside the OpenAI body."""

    port: int
    path: str = "/v1/chat/completions"
    model: str = "gpt-4o-mini"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proxy:
    name: str
    opened: Callable[[int], AbstractAsyncContextManager[Door]]
