"""Append and read. The whole way in is ``Appender.append``."""

from collections.abc import Callable
from typing import Protocol

from imperal_host.clock import Clock
from imperal_host.errors import IntegrityError, LedgerError, StorageError
from imperal_host.identity import CallId, TenantId, UserId
from imperal_host.ledger import store
from imperal_host.ledger.event import Event, Receipt
from imperal_host.ledger.store import Entry
from imperal_host.ledger.verify import Report, verify_chain
from imperal_host.storage.batches import Batches
from imperal_host.storage.database import Database

_COMMIT_ROWS_MAX = 64


class Appender(Protocol):
    """Returns only when the event is durable. Raises ``LedgerError`` rather than lose one.

    A caller that is cancelled meanwhile gets ``CancelledError`` only once the event is durable.
    """

    async def append(self, event: Event) -> Receipt: ...


class Ledger:
    """The SQLite ledger: the chain's tail is read inside each transaction, so several processes may append.

    Appends that come while a commit is on its way to the disk share the next one.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._appends: Batches[store.Told, Receipt] = database.batches(store.append, _COMMIT_ROWS_MAX)

    async def append(self, event: Event) -> Receipt:
        at_milliseconds = int(self._clock.now() * 1000)
        try:
            return await self._appends.ask((event, at_milliseconds))
        except (StorageError, IntegrityError, ValueError, RuntimeError) as error:
            raise LedgerError(f"the ledger cannot write ({error}); nothing goes out unrecorded") from error

    async def of_user(self, tenant: TenantId, user: UserId, limit: int, before: int | None = None) -> list[Entry]:
        """The user's rows, newest first, below index ``before`` if given."""
        return await self._database.read(lambda t: store.of_user(t, tenant, user, limit, before))

    async def of_call(self, call: CallId) -> list[Entry]:
        """All rows of one call and of its model attempts, oldest first."""
        return await self._database.read(lambda t: store.of_call(t, call))

    async def latest(self, limit: int, tenant: TenantId | None = None) -> list[Entry]:
        return await self._database.scan(lambda t: store.latest(t, limit, tenant))

    async def spent_nano_usd(self, tenant: TenantId, user: UserId) -> int:
        return await self._database.scan(lambda t: store.spent(t, tenant, user))

    async def verify(self, progress: Callable[[int], None] = lambda _: None) -> Report:
        """Recompute every chain. Reads one consistent state."""
        return await self._database.scan(lambda t: verify_chain(store.heads(t), store.walk(t), progress))
