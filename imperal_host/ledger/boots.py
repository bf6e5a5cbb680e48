"""Lives of hosts on one ledger: which of them are over.

A life is a number in the database and a file beside it, locked (flock) for as long as its process lives: the kernel
lets go of the lock however the process ends, and a number is never given twice.
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from imperal_host.storage.database import Transaction


def folder_of(database_file: Path) -> Path:
    return database_file.with_name(database_file.name + "-boots")


def begin(transaction: Transaction, at_milliseconds: int) -> int:
    """A new number. Only once it is locked may it stand in a row."""
    transaction.run("insert into boot (started_at_milliseconds) values (?)", (at_milliseconds,))
    row = transaction.row("select last_insert_rowid()")
    assert row is not None
    return int(row[0])


def lock(folder: Path, epoch: int) -> int:
    """The descriptor that says that this life goes on. Raises ``OSError``."""
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / str(epoch), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def over(folder: Path, epochs: Iterable[int]) -> list[int]:
    """Those whose process has ended. Raises ``OSError`` where that cannot be told."""
    return [epoch for epoch in epochs if _is_over(folder / str(epoch))]


def _is_over(file: Path) -> bool:
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        file.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)
