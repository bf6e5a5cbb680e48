"""Whatever somebody does to the stored rows, ``verify`` says so; and it says nothing about rows that hold."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imperal_host.errors import IntegrityError
from imperal_host.ledger.checkpoint import Signer
from imperal_host.ledger.ledger import Ledger
from imperal_host.storage.database import Database
from imperal_host.verify.rows import Report
from tests.host.conftest import SIGNER, FixedClock, event, sql
from tests.host.ledger.conftest import Filled


def problems(report: Report) -> str:
    return " | ".join(f"{finding.tenant} {finding.index}: {finding.problem}" for finding in report.findings)


def last_signed_again(database_file: Path) -> None:
    """What somebody can do who has the file and another key."""
    ((size, _),) = sql(database_file, 'select "index", note from tenant_head order by "index" desc limit 1')
    sql(
        database_file,
        'update tenant_head set note = ? where "index" = ?',
        Signer.generate().checkpoint(size, bytes(32)),
        size,
    )


ON_DISK = {
    "edited column": ('update entry set cost_nano_usd = 5 where "index" = 3', "acme 3: column cost_nano_usd differs"),
    "edited boot": ('update entry set boot = 99 where "index" = 3', "column boot differs"),
    "edited user": ("update entry set user = 'eve' where \"index\" = 1", "acme 1: column user differs"),
    "edited time": ('update entry set at_milliseconds = 0 where "index" = 1', "column at_milliseconds differs"),
    "edited hash": ("update entry set hash = zeroblob(32) where \"index\" = 3", "acme 3: the row was changed"),
    "edited body": ("update entry set body = cast('{}' as blob) where \"index\" = 3", "the bytes are not a row"),
    "edited text": (
        "update entry set body = cast(replace(cast(body as text), 'ada', 'eve') as blob) where \"index\" = 2",
        "acme 2: rows 2 to 2 are not those that were signed",
    ),
    "dropped row": ('delete from entry where "index" = 3', "rows 3 to 3 are missing"),
    "dropped tail": ('delete from entry where "index" > 3', "the tail is cut off: 4 rows, and 6 were signed"),
    "all rows dropped": ("delete from entry", "all 6 rows are missing"),
    "dropped heads": ('delete from tenant_head where "index" > 3', "rows 4 to 5 are not signed"),
    "all heads dropped": ("delete from tenant_head", "rows 0 to 5 are not signed"),
    "edited head": ('update tenant_head set root = zeroblob(32) where "index" = 1', "the heads log was rebuilt"),
    "dropped signature": ("update tenant_head set note = null where \"index\" > 3", "heads 4 to 5 are not signed"),
    "all signatures dropped": ("update tenant_head set note = null", "heads 0 to 5 are not signed"),
    "another tenant": ("update entry set tenant = 'globex' where \"index\" = 3", "column tenant differs"),
    "a negative index": ('update entry set "index" = -1 where "index" = 0', "column index differs"),
    "an empty tenant": ("update entry set tenant = '' where \"index\" = 0", "column tenant differs"),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "said"), ON_DISK.values(), ids=ON_DISK)
async def test_a_forgery_in_the_file_is_found(filled: Filled, database_file: Path, statement: str, said: str) -> None:
    ledger = await filled(3)
    assert (await ledger.verify()).holds
    sql(database_file, statement)
    assert said in problems(await ledger.verify())


async def test_an_unsigned_row_is_found(filled: Filled, database_file: Path) -> None:
    ledger = await filled(2)
    sql(
        database_file,
        'insert into entry select tenant, "index" + 4, call_id || 9, parent, kind, at_milliseconds, user,'
        " cost_nano_usd, body, hash, boot, head from entry where kind = 'intent' and \"index\" = 0",
    )
    assert "rows 4 to 4 are not signed" in problems(await ledger.verify())


@pytest.mark.parametrize("breaks", [last_signed_again])
async def test_what_another_key_has_signed_proves_nothing(
    filled: Filled, database_file: Path, breaks: Callable[[Path], None]
) -> None:
    ledger = await filled(2)
    breaks(database_file)
    with pytest.raises(IntegrityError, match="not signed by"):
        await ledger.verify()
    with pytest.raises(IntegrityError, match="not signed with this host's key"):
        await ledger.begin()


async def test_every_row_is_looked_at_and_told(filled: Filled) -> None:
    ledger: Ledger = await filled(5)
    seen: list[int] = []
    assert (await ledger.verify(seen.append)).rows == 10
    assert seen == list(range(1, 11))


async def test_the_public_key_is_enough(filled: Filled, database: Database, clock: FixedClock) -> None:
    await filled(2)
    report = await Ledger(database, clock).verify(key=SIGNER.key)
    assert (report.holds, report.checkpoint_size, report.is_witnessed) == (True, 4, False)


async def test_an_intent_without_an_end_is_counted_and_is_no_finding(ledger: Ledger) -> None:
    await ledger.append(event("intent", "a"))
    report = await ledger.verify()
    assert (report.holds, report.open_intents) == (True, 1)
