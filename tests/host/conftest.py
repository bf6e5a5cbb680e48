"""What the tests of the host's rooms share: a clock that stands still, a real database file, and ways round it."""

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import settings

from imperal_host.identity import CallId, Principal, Scope, TenantId, UserId
from imperal_host.ledger.checkpoint import Signer
from imperal_host.ledger.event import Event, Json, Kind
from imperal_host.storage.database import Database

settings.register_profile("host", deadline=None)  # a busy machine is no finding
settings.load_profile("host")

ROOT = Path(__file__).parents[2]
NOBODY = 65534
SIGNER = Signer(bytes(range(32)))
_ids = itertools.count()


class FixedClock:
    """Stands still until a test moves it."""

    def __init__(self, now: float = 1_750_000_000.0) -> None:
        self.seconds = now

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


def principal(tenant: str = "acme", user: str = "ada") -> Principal:
    return Principal(TenantId(tenant), UserId(user))


def scope(tenant: str = "acme", user: str = "ada", call: str = "") -> Scope:
    return Scope(CallId(call or f"call-{next(_ids)}"), principal(tenant, user), "summarizer", "1.0", "summarize")


def event(kind: Kind, call: str, *, tenant: str = "acme", user: str = "ada", cost: int = 0, **details: Json) -> Event:
    return Event(kind, "llm", CallId(call), scope(tenant, user, "parent"), details, cost_nano_usd=cost)


def sql(file: Path, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """What somebody with a SQLite shell can do to the file."""
    connection = apsw.Connection(str(file))
    try:
        connection.set_busy_timeout(10_000)
        return list(connection.execute(statement, arguments))
    finally:
        connection.close()


def bytes_on_disk(file: Path) -> bytes:
    """The database and its side files, as a thief of the disk has them."""
    parts = [file, file.with_name(file.name + "-wal"), file.with_name(file.name + "-shm")]
    return b"".join(part.read_bytes() for part in parts if part.exists())


async def turns_of_the_loop(count: int) -> None:
    """Let everything that can run, run."""
    for _ in range(count):
        await asyncio.sleep(0)


def run_as_nobody(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Root ignores permissions: whoever tests them must be somebody else."""
    drop = f"import os\nif os.getuid() == 0:\n    os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    # Every module is imported before the rights are gone: nobody may not read this checkout.
    imports, _, rest = program.partition("#---\n")
    return subprocess.run(
        [sys.executable, "-c", imports + drop + rest, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def database_file(data_dir: Path) -> Path:
    return data_dir / "host.sqlite3"


@pytest.fixture
def database(database_file: Path) -> Iterator[Database]:
    opened = Database.open(database_file)
    yield opened
    opened.close()
