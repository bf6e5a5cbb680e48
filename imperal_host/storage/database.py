"""The database: reads, and writes that are durable when they return."""

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import apsw

from imperal_host.errors import IntegrityError, SetupError, StorageError
from imperal_host.storage.migrations import MIGRATIONS

T = TypeVar("T")
Value = None | int | float | str | bytes
Row = tuple[Any, ...]  # SQLite's types are those of the schema, which is strict

_BUSY_MILLISECONDS = 10_000


class Transaction:
    """Statements inside one transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, arguments: Sequence[Value] = ()) -> list[Row]:
        return list(self._connection.execute(sql, tuple(arguments)))

    def row(self, sql: str, arguments: Sequence[Value] = ()) -> Row | None:
        found = self.rows(sql, arguments)
        return found[0] if found else None

    def run(self, sql: str, arguments: Sequence[Value] = ()) -> int:
        """The number of rows changed."""
        self._connection.execute(sql, tuple(arguments))
        return self._connection.changes()


class Database:
    """Open with ``Database.open``; close when done."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database")

    @classmethod
    def open(cls, file: Path) -> "Database":
        """Open or create, and migrate. Raises ``SetupError`` when the place cannot be used."""
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"the data directory {file.parent} cannot be made: {error.strerror}; "
                "set IMPERAL_DATA_DIR to another place"
            ) from None
        with _one_at_a_time(file), _opening_errors(file):
            connection = apsw.Connection(str(file))
            try:
                connection.set_busy_timeout(_BUSY_MILLISECONDS)
                connection.execute("pragma journal_mode = wal")
                connection.execute("pragma synchronous = full")
                connection.execute("pragma foreign_keys = on")
                _migrate(connection)
            except BaseException:
                connection.close()
                raise
        return cls(connection)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """``work`` sees one consistent state and changes nothing."""
        return await self._on_thread("begin", work)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """All of ``work`` or none of it; on disk when this returns."""
        return await self._on_thread("begin immediate", work)

    async def _on_thread(self, begin: str, work: Callable[[Transaction], T]) -> T:
        def run() -> T:
            self._connection.execute(begin)
            try:
                result = work(Transaction(self._connection))
                self._connection.execute("commit")
                return result
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise

        future = asyncio.get_running_loop().run_in_executor(self._thread, run)
        await _ended(future)
        try:
            return future.result()
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise IntegrityError(f"the database is damaged: {error}") from None
        except apsw.ConstraintError as error:
            raise IntegrityError(f"what was to be written contradicts what is stored: {error}") from None
        except apsw.Error as error:
            raise StorageError(f"the database cannot be used now: {error}; check the disk, and try again") from None

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        self._connection.close()


@contextmanager
def _one_at_a_time(file: Path) -> Iterator[None]:
    """Processes that open the same data for the first time wait for each other: SQLite's own waiting does not
    cover the change to write-ahead logging. The file is made here, for its owner alone."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield  # SQLite will say what is wrong
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _opening_errors(file: Path) -> Iterator[None]:
    """What SQLite says when a file is opened, as what an operator can do about it."""
    try:
        yield
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise IntegrityError(f"the database {file} is damaged ({error}); restore it from a backup") from None
    except apsw.SQLError as error:
        raise IntegrityError(f"the database {file} is not one of this program ({error})") from None
    except apsw.BusyError:
        raise SetupError(f"the database {file} is held by another program; end it and try again") from None
    except apsw.Error as error:
        raise SetupError(
            f"the database {file} cannot be written ({error}); "
            "check the disk and the permissions of its directory, or set IMPERAL_DATA_DIR"
        ) from None


async def _ended(future: asyncio.Future[Any]) -> None:
    """What was begun is waited for. A caller that is cancelled meanwhile is told so only if the work is done:
    if it failed, the failure is what they get."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None and future.exception() is None:
        raise cancelled


def _migrate(connection: apsw.Connection) -> None:
    connection.execute("begin immediate")
    try:
        connection.execute("create table if not exists schema_version (version integer not null) strict")
        found = list(connection.execute("select version from schema_version"))
        version = int(found[0][0]) if found else 0
        if version > len(MIGRATIONS):
            raise SetupError(
                f"the database is at version {version}, this program knows {len(MIGRATIONS)}; install the newer program"
            )
        for migration in MIGRATIONS[version:]:
            connection.execute(migration)
        connection.execute("delete from schema_version")
        connection.execute("insert into schema_version values (?)", (len(MIGRATIONS),))
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise
