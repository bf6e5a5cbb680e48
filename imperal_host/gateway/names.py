"""Names and their addresses, by the system's resolver.

Lookups have threads of their own: one that hangs (whoever names a server chooses who is asked) never holds up anything
but other lookups. One name is asked for once at a time, and its answer is kept for seconds. That is safe, because an
answer is judged at every call, and the connection goes to what was judged.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Protocol

from imperal_host.gateway.addresses import Address

_NAMES_MAX = 4_096


class Resolver(Protocol):
    async def __call__(self, host: str, port: int) -> list[Address]:
        """All addresses of a name, preferred first. Raises ``OSError``."""
        ...


Lookup = Callable[[str], list[Address]]


def by_the_system(host: str) -> list[Address]:
    """Blocks, for as long as the system's resolver is patient. Raises ``OSError``."""
    return [ip_address(str(item[4][0])) for item in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


class Names:
    """That a name has no address is kept as well: whoever asks again is told at once."""

    def __init__(
        self,
        lookup: Lookup = by_the_system,
        *,
        seconds_kept: float = 5.0,
        lookups_max: int = 32,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lookup = lookup
        self._seconds_kept = seconds_kept
        self._monotonic = monotonic
        self._threads = ThreadPoolExecutor(lookups_max, "names")
        self._asking: dict[str, asyncio.Future[list[Address]]] = {}
        self._kept: dict[str, tuple[float, list[Address]]] = {}

    async def __call__(self, host: str, port: int) -> list[Address]:
        try:
            return [ip_address(host.strip("[]"))]
        except ValueError:
            pass
        until, addresses = self._kept.get(host, (0.0, []))
        if self._monotonic() < until:
            return addresses
        asking = self._asking.get(host)
        if asking is None:
            asking = asyncio.get_running_loop().run_in_executor(self._threads, self._looked_up, host)
            self._asking[host] = asking
            asking.add_done_callback(lambda done: self._answered(host, done))
        return await asyncio.shield(asking)  # whoever asked first may leave

    def _looked_up(self, host: str) -> list[Address]:
        try:
            return self._lookup(host)
        except (OSError, UnicodeError):
            return []

    def _answered(self, host: str, done: asyncio.Future[list[Address]]) -> None:
        del self._asking[host]
        if not done.cancelled():
            if len(self._kept) >= _NAMES_MAX:
                self._kept.pop(next(iter(self._kept)))
            self._kept[host] = (self._monotonic() + self._seconds_kept, done.result())

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
