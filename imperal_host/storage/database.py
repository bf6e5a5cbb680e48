"""The database: reads, and writes that are durable when they return."""

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import apsw

from imperal_host.errors import IntegrityError, SetupError, StorageError
from imperal_host.storage.batches import A, B, Batches, T, Unstoppable, ended
from imperal_host.storage.migrations import MIGRATIONS

Value = None | int | float | str | bytes
Row = tuple[Any, ...]  # SQLite's types are those of the schema, which is strict

_BUSY_MILLISECONDS = 10_000
_WAL_PAGES = 4_000  # 16 MB: a page that many commits touch is copied to its place less often


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

    def begin_again(self) -> None:
        """Undo everything so far."""
        if self._connection.in_transaction:  # some errors end it themselves
            self._connection.execute("rollback")
        self._connection.execute("begin immediate")

    @contextmanager
    def apart(self) -> Iterator[None]:
        """What fails in here is undone alone. Raises ``HostError``, as the transaction itself would.

        If the failure has ended the whole transaction, so must whoever works in it: ``is_open`` is then false.
        """
        self._connection.execute("savepoint apart")
        try:
            with _using_errors():
                yield
        except BaseException:
            if self.is_open:
                self._connection.execute("rollback to apart")
                self._connection.execute("release apart")
            raise
        self._connection.execute("release apart")

    @property
    def is_open(self) -> bool:
        return self._connection.in_transaction


class Database:
    """Open with ``Database.open``; close when done.

    Reads have connections of their own, so that none waits behind a commit (write-ahead logging). A ``read`` is
    of a few rows by their key and is done at once, in the event loop's thread: the way to another thread and back
    costs many times what it does. A ``scan`` may take long and is done in a thread.
    """

    def __init__(self, file: Path, writer: apsw.Connection, reader: apsw.Connection, scanner: apsw.Connection) -> None:
        self.file = file
        # What has been put there is done once the connections are closed.
        self.at_close = ExitStack()
        # What must hold on a connection that takes the place of one that failed.
        self.check_reopened: Callable[[Transaction], object] = lambda _: None
        self._connection = writer
        self._reader = reader
        self._scanner = scanner
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="database-writes")
        self._scanning = ThreadPoolExecutor(1, thread_name_prefix="database-scans")
        self._appends: list[Batches[Any, Any]] = []
        self._is_doubtful = False

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
        with _one_at_a_time(file), _opening_errors(file), ExitStack() as undo:
            writer = undo.enter_context(closing(_connect(file)))
            _migrate(writer)
            readers = [undo.enter_context(closing(_connect(file))) for _ in range(2)]
            for reader in readers:
                reader.execute("pragma query_only = on")
            undo.pop_all()
        return cls(file, writer, *readers)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """``work`` sees one consistent state, as new as the last write that has returned, and changes nothing."""
        with _using_errors(), _transaction(self._reader, "begin") as transaction:
            return work(transaction)

    async def scan(self, work: Callable[[Transaction], T]) -> T:
        """As ``read``, for what looks at many rows: the event loop goes on meanwhile."""

        def run() -> T:
            with _using_errors(), _transaction(self._scanner, "begin") as transaction:
                return work(transaction)

        return await ended(_start(self._scanning, run))

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """All of ``work`` or none of it; on disk when this returns."""
        return await ended(self._start_write(work))

    async def truncate_log(self) -> bool:
        """Bring the write-ahead log into the database and empty it, so that what was erased is in neither.

        False while another process reads: run it again.
        """

        def run() -> bool:
            with _using_errors():
                busy, _, _ = next(iter(self._connection.execute("pragma wal_checkpoint(truncate)")))
            return not busy

        return await ended(_start(self._writing, run))

    def batches(self, work: Callable[[Transaction, list[A]], list[B | BaseException]], items_max: int) -> Batches[A, B]:
        """A door for many small writes: those that come while one commit is on its way share the next one.

        ``work`` gives each item's answer, or the exception that it alone has met.
        """
        batches: Batches[A, B] = Batches(lambda items: self._start_write(lambda t: work(t, items)), items_max)
        self._appends.append(batches)
        return batches

    def _start_write(self, work: Callable[[Transaction], T]) -> Unstoppable[T]:
        def run() -> T:
            with _using_errors():
                self._check_again()
                try:
                    with _transaction(self._connection, "begin immediate") as transaction:
                        return work(transaction)
                except apsw.IOError:
                    # What the disk holds is not known now. A second try on the same connection could report as
                    # written what is not (the kernel tells of a failed sync once): begin anew from the file.
                    self._is_doubtful = True
                    raise

        return _start(self._writing, run)

    def _check_again(self) -> None:
        """After a failed write or sync nothing is written until a new connection has found the data whole."""
        if self._is_doubtful:
            self._connection.close()
            self._connection = _connect(self.file)
            with _transaction(self._connection, "begin immediate") as transaction:
                self.check_reopened(transaction)
            self._is_doubtful = False

    def close(self) -> None:
        """What was asked before is done first."""
        for batches in self._appends:
            batches.flush()
        for thread in (self._scanning, self._writing):
            thread.shutdown(wait=True)
        for connection in (self._reader, self._scanner, self._connection):
            connection.close()
        self.at_close.close()


def _connect(file: Path) -> apsw.Connection:
    connection = apsw.Connection(str(file))
    try:
        connection.set_busy_timeout(_BUSY_MILLISECONDS)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute("pragma foreign_keys = on")
        connection.execute("pragma secure_delete = on")  # what is erased is overwritten, not only unlinked
        # What one statement may have to undo is kept in memory: in a file it costs a fifth of a commit of many rows.
        connection.execute("pragma temp_store = memory")
        connection.execute(f"pragma wal_autocheckpoint = {_WAL_PAGES}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _transaction(connection: apsw.Connection, begin: str) -> Iterator[Transaction]:
    connection.execute(begin)
    try:
        yield Transaction(connection)
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def _start(thread: ThreadPoolExecutor, run: Callable[[], T]) -> Unstoppable[T]:
    """Raises ``RuntimeError`` when the thread has ended."""
    loop = asyncio.get_running_loop()
    told: Unstoppable[T] = Unstoppable(loop=loop)

    def tell(done: Future[T]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(_pass_on, done, told)

    thread.submit(run).add_done_callback(tell)
    return told


def _pass_on(done: Future[T], told: Unstoppable[T]) -> None:
    error = done.exception()
    told.settle(error, None if error else done.result())


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


@contextmanager
def _using_errors() -> Iterator[None]:
    """What SQLite says about a statement, as what an operator can do about it."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise IntegrityError(f"the database is damaged: {error}") from None
    except apsw.ConstraintError as error:
        raise IntegrityError(f"what was to be written contradicts what is stored: {error}") from None
    except apsw.Error as error:
        raise StorageError(f"the database cannot be used now: {error}; check the disk, and try again") from None


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
