"""Between an intent and its outcome: however the body is left, both rows are there, or the body never ran."""

import asyncio

import pytest

from imperal_host.errors import HostError, LedgerError, RefusedError
from imperal_host.ledger.event import Event, Receipt
from imperal_host.ledger.ledger import Ledger
from imperal_host.ledger.recording import recorded
from tests.host.conftest import FixedClock, event


async def outcomes(ledger: Ledger) -> list[tuple[str, object]]:
    return [(row.kind, row.content["details"].get("outcome")) for row in await ledger.latest(10)]


async def test_the_intent_is_there_in_the_body_and_the_outcome_after_it(ledger: Ledger, clock: FixedClock) -> None:
    async with recorded(ledger, event("intent", "a", model="m"), clock) as recording:
        assert await outcomes(ledger) == [("intent", None)]
        assert recording.receipt is None
        recording.details["input_tokens"] = 7
        recording.cost_nano_usd = 65
        clock.seconds += 1.5
    _, outcome = await ledger.latest(10)
    assert outcome.content["details"] == {"model": "m", "input_tokens": 7, "outcome": "ok", "duration_ms": 1500}
    assert (outcome.kind, outcome.call_id, outcome.cost_nano_usd) == ("outcome", "a", 65)
    assert recording.receipt is not None
    assert recording.receipt.hash == outcome.hash.hex()
    assert (await ledger.verify()).open_intents == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RefusedError("no"), "upstream.refused"),
        (HostError("no"), "host.error"),
        (ZeroDivisionError("a mistake of ours"), "host.error"),
        (asyncio.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
    ],
)
async def test_a_body_that_raises_is_on_record_and_its_error_goes_on(
    ledger: Ledger, clock: FixedClock, error: BaseException, code: str
) -> None:
    try:
        async with recorded(ledger, event("intent", "a"), clock):
            raise error
    except BaseException as raised:  # pytest.raises lets an interrupt through
        assert raised is error  # noqa: PT017
    assert await outcomes(ledger) == [("intent", None), ("outcome", code)]


class Full:
    """A ledger whose disk is full from the given append on."""

    def __init__(self, ledger: Ledger, appends_left: int) -> None:
        self.ledger = ledger
        self.appends_left = appends_left

    async def append(self, event: Event) -> Receipt:
        if self.appends_left == 0:
            raise LedgerError("disk full")
        self.appends_left -= 1
        return await self.ledger.append(event)


async def test_without_an_intent_on_record_the_body_does_not_run(ledger: Ledger, clock: FixedClock) -> None:
    ran = False
    with pytest.raises(LedgerError):
        async with recorded(Full(ledger, 0), event("intent", "a"), clock):
            ran = True
    assert not ran
    assert await outcomes(ledger) == []


async def test_without_an_outcome_on_record_nothing_is_let_go(ledger: Ledger, clock: FixedClock) -> None:
    with pytest.raises(LedgerError):
        async with recorded(Full(ledger, 1), event("intent", "a"), clock):
            pass
    assert await outcomes(ledger) == [("intent", None)]
