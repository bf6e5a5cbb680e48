"""Rows of the first format, which were chained, come into trees when the ledger is first opened; none is lost."""

import hashlib
from pathlib import Path

import orjson
import pytest

from imperal_host.errors import IntegrityError
from imperal_host.identity import TenantId
from imperal_host.ledger.ledger import Ledger
from imperal_host.storage.database import Database
from imperal_host.storage.migrations import MIGRATIONS
from imperal_host.verify.receipt import verify_receipt
from tests.host.conftest import SIGNER, FixedClock, event, sql


def an_old_ledger(file: Path, calls: int) -> None:
    """As 0.1.0 wrote it."""
    file.parent.mkdir()
    sql(file, ";".join([*MIGRATIONS[:2], "create table schema_version (version integer not null) strict"]))
    sql(file, "insert into schema_version values (2)")
    for tenant in ("acme", "globex"):
        previous = bytes(32)
        for index in range(2 * calls + 1):
            kind, call = ("intent", "outcome")[index % 2], f"{tenant}-{index // 2}"
            body = {"format": 1, "index": index, "previous": previous.hex(), "at_milliseconds": index, "kind": kind,
                    "action": "llm", "call_id": call, "parent": None, "tenant": tenant, "user": "ada", "extension": "e",
                    "extension_version": "1", "function": "f", "cost_nano_usd": index % 2, "details": {}}  # fmt: skip
            text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
            previous = hashlib.sha256(b"\x00" + text).digest()
            row = (tenant, index, call, None, kind, index, "ada", index % 2, text, previous)
            sql(file, "insert into entry values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", *row)
        sql(file, "insert into head values (?, ?, ?)", tenant, 2 * calls + 1, previous)


async def test_every_row_is_brought_over_and_signed(database_file: Path, clock: FixedClock) -> None:
    an_old_ledger(database_file, 3)
    before = sql(database_file, 'select body from entry order by tenant, "index"')
    database = Database.open(database_file)
    ledger = Ledger(database, clock, SIGNER)
    await ledger.begin()
    await ledger.begin()
    report = await ledger.verify()
    assert (report.findings, report.rows, report.open_intents, report.checkpoint_size) == ((), 14, 2, 2)
    assert sql(database_file, 'select body from entry order by tenant, "index"') == before
    assert verify_receipt((await ledger.receipt(TenantId("acme"), 2)).to_json(), SIGNER.key).row["call_id"] == "acme-1"

    await ledger.append(event("outcome", "acme-3", cost=9))
    assert await ledger.settle() == 1, "what was open of a host that is no more"
    await ledger.append(event("intent", "new"))
    report = await ledger.verify()
    assert (report.findings, report.rows, report.open_intents) == ((), 17, 1)
    database.close()


@pytest.mark.parametrize("statement", ['delete from entry where "index" = 3', 'delete from entry where "index" > 3'])
async def test_what_was_lost_before_is_told_and_nothing_is_signed(
    database_file: Path, clock: FixedClock, statement: str
) -> None:
    an_old_ledger(database_file, 3)
    sql(database_file, statement)
    database = Database.open(database_file)
    ledger = Ledger(database, clock, SIGNER)
    with pytest.raises(IntegrityError, match="restore"):
        await ledger.begin()
    assert await ledger.checkpoint() is None
    database.close()


async def test_an_empty_old_ledger_is_as_good_as_a_new_one(database: Database, clock: FixedClock) -> None:
    ledger = Ledger(database, clock, SIGNER)
    await ledger.begin()
    await ledger.append(event("intent", "a"))
    assert (await ledger.verify()).holds
