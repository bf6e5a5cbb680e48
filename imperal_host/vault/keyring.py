"""The ring of KEKs that opens this data: one is promoted and wraps, the others only unwrap.

A KEK's life: ``new`` (unwraps only, so that every process can learn it before anything needs it), ``promoted``
(exactly one), ``old`` (unwraps what was not wrapped again yet), ``retired`` (never loaded again).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from imperal_host.errors import HostError, SealedError
from imperal_host.log import logger
from imperal_host.storage.database import Database, Transaction
from imperal_host.vault.kek import FileKek as FileKek
from imperal_host.vault.kek import Kek
from imperal_host.vault.sources import FileSource, KekSource, Sources

State = Literal["new", "promoted", "old", "retired"]
_CHECK = b"the right key"
_SELECT = (
    "select kek_id, location, state, kept, sealed,"
    " (select count(*) from tenant_key where tenant_key.kek_id = key_check.kek_id) from key_check"
)


class Keys(Protocol):
    """What the vault asks for. ``kek_id`` is what stands beside a ciphertext. Both raise ``SealedError``."""

    def current(self, transaction: Transaction) -> Kek:
        """The one that wraps, as of this transaction."""
        ...

    def of(self, transaction: Transaction, kek_id: str) -> Kek: ...


@dataclass(frozen=True, slots=True)
class Held:
    """A KEK as the database knows it. ``uses``: how many tenant keys it wraps."""

    kek_id: str
    location: str
    state: State
    kept: bytes
    check: bytes
    uses: int


def held(transaction: Transaction) -> list[Held]:
    """Every KEK that was ever in the ring, oldest first."""
    return [Held(*row) for row in transaction.rows(_SELECT + " order by rowid")]


class Ring:
    """Each transaction asks the database which key is promoted, and a key that is not known yet is loaded when it is
    first met: a change of the ring needs no restart."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._keks: dict[str, Kek] = {}

    def current(self, transaction: Transaction) -> Kek:
        row = transaction.row("select kek_id from key_check where state = 'promoted'")
        if row is None:
            raise SealedError("no KEK is promoted; run: imperal-host keys status")
        return self.of(transaction, row[0])

    def of(self, transaction: Transaction, kek_id: str) -> Kek:
        known = self._keks.get(kek_id)
        if known is not None:
            return known
        keks = {key.kek_id: key for key in held(transaction)}
        if kek_id not in keks or keks[kek_id].state == "retired":
            raise SealedError(f"KEK {kek_id} is not in the ring; restore the database and its KEKs of the same day")
        loaded = self.load(keks[kek_id])
        living = {key.kek_id for key in keks.values() if key.state != "retired"}
        self._keks = {**{i: k for i, k in self._keks.items() if i in living}, kek_id: loaded}
        return loaded

    def load(self, key: Held) -> Kek:
        """From its source, and proven right. Raises ``SealedError`` and ``SetupError``."""
        kek = self.sources.load(key.location, key.kept)
        if kek.key_id != key.kek_id:
            where = key.location or "the KEK file"
            raise SealedError(
                f"the KEK in {where} is not the one that sealed the data ({key.kek_id}); restore the right file"
            )
        kek.unwrap(key.check, "key-check", kek.key_id)
        return kek


async def open_keyring(
    database: Database, file: Path, data_dir: Path, sources: Sequence[KekSource] = (), first: str = ""
) -> Ring:
    """The ring that opens this data; on the very first run, with a first KEK made at ``first``.

    Raises ``SealedError`` when a KEK that is in use cannot be loaded or is another, and ``SetupError`` when its
    place cannot be used. Never makes a key over existing data.
    """
    ring = Ring(Sources((FileSource(file, data_dir), *sources)))
    if not await database.read(held):
        if await database.read(lambda t: t.row("select 1 from tenant_key limit 1")):
            raise SealedError("the data names no KEK, and has keys that one has wrapped; restore it from a backup")
        kek, kept = ring.sources.create(first)
        await database.write(lambda t: _begin(t, kek, first, kept))
    for key in await database.read(held):
        if key.state == "retired":
            continue
        try:
            ring.load(key)
        except HostError as error:
            if key.state == "promoted" or key.uses:
                raise
            logger("vault").warning("a KEK that nothing needs cannot be loaded", kek=key.kek_id, why=str(error))
    return ring


def check_of(kek: Kek) -> bytes:
    """What proves later that a key is this one."""
    return kek.wrap(_CHECK, "key-check", kek.key_id)


def _begin(transaction: Transaction, kek: Kek, location: str, kept: bytes) -> None:
    if not held(transaction):  # another process may have begun meanwhile
        add(transaction, kek, location, kept, "promoted")


def add(transaction: Transaction, kek: Kek, location: str, kept: bytes, state: State) -> None:
    transaction.run(
        "insert into key_check (kek_id, sealed, location, state, kept) values (?, ?, ?, ?, ?)",
        (kek.key_id, check_of(kek), location, state, kept),
    )
