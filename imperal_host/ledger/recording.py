"""An action between its two rows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from imperal_host.clock import Clock
from imperal_host.errors import HostError
from imperal_host.ledger.event import Event, Json, Receipt
from imperal_host.ledger.ledger import Appender


@dataclass(slots=True)
class Recording:
    """What the body learns and the outcome row tells. ``receipt`` is there once the body is left."""

    details: dict[str, Json] = field(default_factory=dict)
    cost_nano_usd: int = 0
    receipt: Receipt | None = None


@asynccontextmanager
async def recorded(ledger: Appender, intent: Event, clock: Clock) -> AsyncIterator[Recording]:
    """``intent`` is durable before the body runs; its outcome is durable before the body is left, however.

    ``outcome`` in the second row is ``ok``, the code of a ``HostError``, ``cancelled``, or ``host.error``
    for a mistake of ours. Raises ``LedgerError`` instead of running, or instead of letting go.
    """
    started = clock.monotonic()
    recording = Recording()
    code = "cancelled"
    try:
        await ledger.append(intent)
        yield recording
        code = "ok"
    except HostError as error:
        code = error.code
        raise
    except Exception:
        code = "host.error"
        raise
    finally:
        if code != "ledger.unavailable":
            duration: dict[str, Json] = {"duration_ms": int((clock.monotonic() - started) * 1000)}
            details = {**intent.details, **recording.details, "outcome": code, **duration}
            cost = recording.cost_nano_usd
            outcome = replace(intent, kind="outcome", details=details, cost_nano_usd=cost, arguments=None)
            recording.receipt = await ledger.append(outcome)
