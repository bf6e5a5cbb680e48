"""The real ``imperal-host``, run as its user runs it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

COMMAND = str(Path(sys.executable).with_name("imperal-host"))
_SECONDS_MAX = 120


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return orjson.loads(self.out)

    @property
    def text(self) -> str:
        """What a command that worked said."""
        assert (self.status, self.err) == (0, ""), self
        return self.out


@dataclass(frozen=True)
class Command:
    """``imperal-host`` with its data, keys, cache and home below ``place``."""

    place: Path
    changes: Mapping[str, str]

    def having(self, **changes: object) -> "Command":
        """The same with these environment variables too."""
        return replace(self, changes={**self.changes, **{name: str(value) for name, value in changes.items()}})

    def below(self, name: str) -> "Command":
        """The same in a place of its own."""
        return replace(self, place=self.place / name)

    @property
    def data_dir(self) -> Path:
        return self.place / "data"

    @property
    def database_file(self) -> Path:
        return self.data_dir / "host.sqlite3"

    @property
    def kek_file(self) -> Path:
        return self.place / "keys" / "kek"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.place),
            "COLUMNS": "200",
            "IMPERAL_DATA_DIR": str(self.data_dir),
            "IMPERAL_KEK_FILE": str(self.kek_file),
            "IMPERAL_CACHE_DIR": str(self.place / "cache"),
            **self.changes,
        }

    def __call__(self, *arguments: object, stdin: str = "") -> Done:
        self.place.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [COMMAND, *map(str, arguments)],
            input=stdin,
            env=self.environment,
            cwd=self.place,
            capture_output=True,
            text=True,
            timeout=_SECONDS_MAX,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)


def error_of(done: Done) -> str:
    """The message of a command that failed as a command may: one line, status 1, nothing on standard output."""
    assert "Traceback" not in done.err, done.err
    assert (done.status, done.out) == (1, ""), done
    assert done.err.startswith("error: "), done.err
    assert done.err.count("\n") == 1, done.err
    assert done.err.strip().isprintable(), done.err
    return done.err.removeprefix("error: ").rstrip("\n")


@dataclass(frozen=True)
class Ask:
    """One run of a command: its arguments, its standard input, and variables of its own."""

    arguments: tuple[object, ...]
    stdin: str = ""
    variables: Mapping[str, object] | None = None


def each(command: Command, asks: Mapping[str, Ask]) -> dict[str, Done]:
    """Every one in a place of its own; a few at a time, because a process takes a second to begin."""

    def one(item: tuple[int, Ask]) -> Done:
        number, ask = item
        own = command.below(str(number)).having(**(ask.variables or {}))
        return own(*ask.arguments, stdin=ask.stdin)

    with ThreadPoolExecutor(3) as threads:
        return dict(zip(asks, threads.map(one, enumerate(asks.values())), strict=True))


@contextmanager
def started(command: Command, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A command in a session of its own. It is not left running, whatever happens."""
    command.place.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        env=command.environment,
        cwd=command.place,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        deadline = threading.Timer(_SECONDS_MAX, process.kill)
        deadline.start()
        try:
            yield process
        finally:
            deadline.cancel()
            if process.poll() is None:
                process.kill()


@dataclass(frozen=True)
class Running:
    """One line of the process table. ``began`` tells a process from a later one with its number."""

    pid: int
    parent: int
    session: int
    began: int


def process_table() -> list[Running]:
    """Every process that runs; what has ended and was not waited for yet does not."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = rest.split()
        if fields[0] not in "ZX":
            found.append(Running(int(stat.parent.name), int(fields[1]), int(fields[3]), int(fields[19])))
    return found


def processes_of_session(session: int) -> list[Running]:
    return [process for process in process_table() if process.session == session]


def descendants(pid: int) -> set[Running]:
    """The children of a process, theirs, and so on."""
    table = process_table()
    found: set[Running] = set()
    parents = {pid}
    while parents:
        children = {process for process in table if process.parent in parents}
        found |= children
        parents = {child.pid for child in children}
    return found


def still_running(processes: set[Running]) -> set[tuple[int, int]]:
    """Those of ``processes`` that have not ended, as (pid, began)."""
    return {(p.pid, p.began) for p in process_table()} & {(p.pid, p.began) for p in processes}
