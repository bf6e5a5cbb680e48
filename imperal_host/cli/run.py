"""From a synchronous command into the host and back, with errors as one line."""

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import typer
import uvloop
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from imperal_host import log
from imperal_host.app import Host, Stores, open_host, open_ledger, open_stores
from imperal_host.errors import HostError
from imperal_host.identity import Principal, TenantId, UserId, checked_name
from imperal_host.ledger.ledger import Ledger
from imperal_host.runtime.privacy import keep_memory_private
from imperal_host.settings import Settings

T = TypeVar("T")
# Rich folds tables to 80 columns when nobody watches; a log or a pipe has room.
_WIDTH = None if sys.stdout.isatty() else 160
# A busy event loop gives up the interpreter for a moment between callbacks, too short for another thread to take it,
# and each time that thread's wait begins anew: with the default of 5 ms a commit can wait for seconds.
_SWITCH_SECONDS = 0.0002
out = Console(soft_wrap=True, highlight=False, width=_WIDTH)
err = Console(stderr=True, soft_wrap=True, highlight=False)


def settings(**changes: object) -> Settings:
    """The settings in force; ``changes`` are the command's options, ``None`` where not given."""
    try:
        return Settings.model_validate(
            {**Settings().model_dump(), **{k: v for k, v in changes.items() if v is not None}}
        )
    except ValidationError as error:
        first = error.errors()[0]
        fail(f"IMPERAL_{str(first['loc'][0]).upper()}: {first['msg']}")


def fail(message: str) -> NoReturn:
    err.print(f"[red]error:[/] {plain(message)}")
    raise typer.Exit(1)


def plain(text: object) -> str:
    """Text of others, for a terminal: one line, no control characters, and brackets that are not markup."""
    printable = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return escape(" ".join(printable.split()))


def run(work: Callable[[], Awaitable[T]], *, level: str = "warning") -> T:
    """Run ``work`` to its end on a loop of its own."""
    log.configure(level, as_json=not sys.stderr.isatty())
    keep_memory_private()
    sys.setswitchinterval(_SWITCH_SECONDS)

    async def main() -> T:
        return await work()

    try:
        return uvloop.run(main())
    except HostError as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@contextmanager
def said_in_one_line() -> Iterator[None]:
    """For work that needs no loop: its errors, and an interruption, end the command as they do in ``run``."""
    try:
        yield
    except HostError as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def with_stores(work: Callable[[Stores], Awaitable[T]], chosen: Settings | None = None) -> T:
    used = chosen or settings()

    async def inside() -> T:
        async with open_stores(used) as stores:
            return await work(stores)

    return run(inside)


def with_ledger(work: Callable[[Ledger], Awaitable[T]]) -> T:
    used = settings()

    async def inside() -> T:
        async with open_ledger(used) as ledger:
            return await work(ledger)

    return run(inside)


def with_host(work: Callable[[Host], Awaitable[T]], used: Settings, *, level: str = "warning") -> T:

    async def inside() -> T:
        async with open_stores(used) as stores, open_host(stores) as host:
            return await work(host)

    return run(inside, level=level)


def standard_input() -> str:
    """All of standard input, which must be UTF-8."""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        fail("standard input is not UTF-8")


def principal(tenant: str, user: str) -> Principal:
    try:
        return Principal(TenantId(checked_name("tenant", tenant)), UserId(checked_name("user", user)))
    except HostError as error:
        fail(str(error))
