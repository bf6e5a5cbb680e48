"""The protocols between the runtime and the rest."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from imperal_host.identity import CallId, Package, Principal
from imperal_sdk.manifest import Manifest
from imperal_sdk.wire import CallContext

JsonObject = dict[str, Any]
# Hands on the next items of a streamed answer; returns when there is room for more.
Deliver = Callable[[list[JsonObject]], Awaitable[None]]


class Broker(Protocol):
    """All that a running call may ask of its host."""

    async def ask(self, capability: str, payload: JsonObject) -> JsonObject:
        """Raises ``HostError``, which reaches the extension as its code and message."""
        ...

    async def stream(self, capability: str, payload: JsonObject, deliver: Deliver) -> JsonObject:
        """The same, with items handed on before the answer. Cancelling it ends the upstream's work at once."""
        ...


class Isolate(Protocol):
    """One confined process that has loaded one extension."""

    manifest: Manifest

    @property
    def alive(self) -> bool:
        """Whether it can take a call, as far as the kernel knows at this moment."""
        ...

    async def invoke(
        self, call: CallId, function: str, arguments: JsonObject, context: CallContext, broker: Broker, seconds: float
    ) -> JsonObject:
        """Several calls may be in progress at once.

        Raises ``TooLargeError`` or ``InvalidError`` for arguments that cannot be sent, and the isolate is as
        before; ``ExtensionRaisedError`` and ``ExtensionLimitError``; and ``ExtensionStoppedError``, after which it
        is gone.
        """
        ...

    def pause(self) -> None:
        """Stop it where it is: between calls nothing that a call left behind runs."""
        ...

    def resume(self) -> None:
        """Let it run again."""
        ...

    def memory_bytes(self) -> int:
        """What it holds in memory now, 0 if that cannot be seen."""
        ...

    async def aclose(self) -> None:
        """Kill it, and return when it is gone. Never raises."""
        ...


class Launcher(Protocol):
    async def launch(self, package: Package) -> Isolate:
        """Raises ``SandboxError`` when a layer does not hold, ``ExtensionLoadError`` when the code does not load."""
        ...

    def retire(self, package: Package) -> None:
        """It will not be launched again: what was kept for that may end with its last isolate."""
        ...

    async def aclose(self) -> None:
        """End all that is left. Nothing is launched after this."""
        ...


class Leases(Protocol):
    def lease(self, package: Package, principal: Principal) -> AbstractAsyncContextManager[Isolate]: ...
