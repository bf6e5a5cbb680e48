"""The file: who may open it, and what a transaction promises."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from imperal_host.errors import IntegrityError, SetupError
from imperal_host.storage.database import Database, Transaction
from imperal_host.storage.migrations import MIGRATIONS
from tests.host.conftest import NOBODY, bytes_on_disk, run_as_nobody, sql, turns_of_the_loop

TABLES = {
    *("token", "tenant_key", "secret", "key_check", "binding"),
    *(
        "parameter_layer",
        "entry",
        "head",
        "schema_version",
        "tree",
        "node",
        "tenant_head",
        "boot",
        "open_intent",
        "user_key",
    ),
}

OPEN_AND_TELL = """
import sys
from pathlib import Path
from imperal_host.errors import HostError
from imperal_host.storage.database import Database
#---
try:
    Database.open(Path(sys.argv[1])).close()
    print("opened")
except HostError as error:
    print(type(error).__name__, error)
"""


async def put_head(database: Database, tenant: str) -> None:
    await database.write(lambda t: t.run("insert into head values (?, 0, x'00')", (tenant,)))


async def tenants(database: Database) -> list[str]:
    rows = await database.read(lambda t: t.rows("select tenant from head order by tenant"))
    return [row[0] for row in rows]


def test_a_fresh_file_has_the_whole_schema_and_its_version(database: Database, database_file: Path) -> None:
    assert {name for (name,) in sql(database_file, "select name from sqlite_schema where type = 'table'")} >= TABLES
    assert sql(database_file, "select version from schema_version") == [(len(MIGRATIONS),)]


async def test_a_second_open_keeps_what_is_stored(database_file: Path) -> None:
    first = Database.open(database_file)
    await put_head(first, "acme")
    first.close()
    second = Database.open(database_file)
    assert await tenants(second) == ["acme"]
    second.close()
    assert sql(database_file, "select version from schema_version") == [(len(MIGRATIONS),)]


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_an_older_file_is_brought_up_to_date_and_keeps_its_rows(database_file: Path, version: int) -> None:
    database_file.parent.mkdir()
    for statements in (*MIGRATIONS[:version], "create table schema_version (version integer not null) strict"):
        sql(database_file, statements)
    sql(database_file, "insert into schema_version values (?)", version)
    columns = "tenant, 'index', call_id, kind, at_milliseconds, user, cost_nano_usd, body, hash"
    sql(database_file, f"insert into entry ({columns}) values ('acme', 0, 'a', 'intent', 1, 'ada', 5, x'00', x'00')")
    Database.open(database_file).close()
    assert sql(database_file, "select version from schema_version") == [(len(MIGRATIONS),)]
    assert sql(database_file, "select tenant, call_id, cost_nano_usd from entry") == [("acme", "a", 5)]


async def test_what_a_user_has_spent_is_read_from_an_index_alone(database: Database) -> None:
    """It is asked before each platform call: it must not read the rows themselves."""
    question = "select sum(cost_nano_usd) from entry where tenant = ? and user = ?"
    question += " and kind in ('outcome', 'unresolved', 'correction')"
    plan = await database.read(lambda t: t.rows(f"explain query plan {question}", ("acme", "ada")))
    assert "USING COVERING INDEX entry_of_user" in plan[0][3]


def test_a_file_from_the_future_is_refused_and_not_touched(database_file: Path) -> None:
    Database.open(database_file).close()
    sql(database_file, "update schema_version set version = ?", len(MIGRATIONS) + 1)
    with pytest.raises(SetupError, match="install the newer program"):
        Database.open(database_file)
    assert sql(database_file, "select version from schema_version") == [(len(MIGRATIONS) + 1,)]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"this is a letter to my aunt, and no database at all" * 20, IntegrityError),
        (b"SQLite format 3\x00" + b"\xff" * 4_096, IntegrityError),
    ],
)
def test_a_file_that_is_no_database_is_refused_and_not_touched(
    database_file: Path, content: bytes, error: type[Exception]
) -> None:
    database_file.parent.mkdir()
    database_file.write_bytes(content)
    with pytest.raises(error, match="restore it from a backup"):
        Database.open(database_file)
    assert database_file.read_bytes() == content


def test_a_file_where_the_data_directory_should_be_is_a_setup_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a directory")
    with pytest.raises(SetupError, match="IMPERAL_DATA_DIR"):
        Database.open(tmp_path / "data" / "host.sqlite3")


def test_a_directory_where_the_file_should_be_is_a_setup_error(database_file: Path) -> None:
    database_file.mkdir(parents=True)
    with pytest.raises(SetupError, match="cannot be written"):
        Database.open(database_file)


@pytest.mark.parametrize("case", ["directory cannot be made", "directory is read-only", "file is read-only"])
def test_a_place_without_write_permission_is_a_setup_error_with_what_to_do(
    tmp_path_factory: pytest.TempPathFactory, case: str
) -> None:
    place = Path("/tmp") / f"imperal-test-{os.getpid()}-{case.replace(' ', '-')}"  # pytest's own is 0700
    place.mkdir(mode=0o755)
    file = place / "data" / "host.sqlite3"
    try:
        if case != "directory cannot be made":
            file.parent.mkdir(mode=0o755)
        if case == "file is read-only":
            Database.open(file).close()
            file.chmod(0o444)
        for path in (place, file.parent):
            if path.exists():
                path.chmod(0o555)
        told = run_as_nobody(OPEN_AND_TELL, str(file))
    finally:
        place.chmod(0o755)
        if file.parent.exists():
            file.parent.chmod(0o755)
            file.unlink(missing_ok=True)
            file.parent.rmdir()
        place.rmdir()
    assert told.stdout.startswith("SetupError"), told
    assert "IMPERAL_DATA_DIR" in told.stdout
    assert told.stderr == ""


def test_the_data_directory_is_closed_to_others(database: Database, data_dir: Path) -> None:
    assert data_dir.stat().st_mode & 0o077 == 0


async def test_a_write_is_all_or_nothing(database: Database) -> None:
    def half(transaction: Transaction) -> None:
        transaction.run("insert into head values ('acme', 1, x'00')")
        raise LookupError("in the middle")

    with pytest.raises(LookupError, match="in the middle"):
        await database.write(half)
    assert await tenants(database) == []
    await put_head(database, "after")
    assert await tenants(database) == ["after"]


async def test_a_statement_that_fails_takes_the_statements_before_it_along(database: Database) -> None:
    def twice(transaction: Transaction) -> None:
        transaction.run("insert into head values ('acme', 1, x'00')")
        transaction.run("insert into head values ('acme', 2, x'00')")

    with pytest.raises(IntegrityError):
        await database.write(twice)
    assert await tenants(database) == []


async def test_a_write_is_on_disk_when_it_returns(database: Database, database_file: Path) -> None:
    await put_head(database, "tenant-on-disk")
    assert sql(database_file, "select tenant from head") == [("tenant-on-disk",)]
    assert b"tenant-on-disk" in bytes_on_disk(database_file)


@pytest.mark.parametrize(("setting", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)])
async def test_the_file_is_synced_at_every_commit(database: Database, setting: str, value: object) -> None:
    """Only a power failure would show it: 2 is FULL (https://www.sqlite.org/pragma.html#pragma_synchronous)."""
    assert await database.read(lambda t: t.row(f"pragma {setting}")) == (value,)


async def test_foreign_keys_are_enforced(database: Database) -> None:
    with pytest.raises(IntegrityError):
        await database.write(
            lambda t: t.run("insert into secret (tenant, name, version, sealed) values ('nobody', 'llm', 1, x'00')")
        )


async def test_two_databases_on_one_file_take_turns_and_see_each_other(database: Database, database_file: Path) -> None:
    other = Database.open(database_file)

    def count_up(transaction: Transaction) -> None:
        row = transaction.row("select size from head where tenant = 'acme'")
        transaction.run("insert or replace into head values ('acme', ?, x'00')", ((row[0] if row else 0) + 1,))

    await asyncio.gather(*(d.write(count_up) for _ in range(50) for d in (database, other)))
    for side in (database, other):
        assert await side.read(lambda t: t.rows("select size from head")) == [(100,)]
    other.close()


async def test_a_scan_sees_one_consistent_state_while_another_database_writes(
    database: Database, database_file: Path
) -> None:
    reading, written = threading.Event(), threading.Event()

    def look_twice(transaction: Transaction) -> tuple[int, int]:
        before = len(transaction.rows("select 1 from head"))
        reading.set()
        assert written.wait(10)
        return before, len(transaction.rows("select 1 from head"))

    other = Database.open(database_file)
    look = asyncio.ensure_future(database.scan(look_twice))
    await asyncio.to_thread(reading.wait, 10)
    await put_head(other, "acme")
    written.set()
    assert await look == (0, 0)
    assert await tenants(database) == ["acme"]
    other.close()


async def test_a_cancelled_write_is_waited_for_and_known_by_then(database: Database) -> None:
    started, may_end = threading.Event(), threading.Event()

    def slow(transaction: Transaction) -> None:
        transaction.run("insert into head values ('acme', 1, x'00')")
        started.set()
        assert may_end.wait(10)

    writing = asyncio.ensure_future(database.write(slow))
    await asyncio.to_thread(started.wait, 10)
    try:
        for _ in range(3):  # more than once: a deadline, then a shutdown
            writing.cancel()
            await turns_of_the_loop(10)
        assert not writing.done(), "the caller went on while its write was still running"
    finally:
        may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await tenants(database) == ["acme"]


def test_nobody_is_somebody_else() -> None:
    assert run_as_nobody("import os\n#---\nprint(os.getuid())").stdout.strip() in {str(NOBODY), str(os.getuid())}
