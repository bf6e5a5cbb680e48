"""A user's key: what is sealed under it opens until it is destroyed, and never for anybody else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperal_host.errors import NotFoundError, SealedError
from imperal_host.identity import TenantId, UserId
from imperal_host.storage.database import Database
from imperal_host.vault.barrier import seal, unseal
from imperal_host.vault.keyring import FileKek
from imperal_host.vault.personal import PersonalKeys
from imperal_host.vault.store import Vault
from tests.host.conftest import bytes_on_disk, sql

ACME, GLOBEX = TenantId("acme"), TenantId("globex")
ADA, EVE = UserId("ada"), UserId("eve")


@pytest.fixture
def personal(database: Database) -> PersonalKeys:
    return PersonalKeys(database, Vault(database, FileKek(bytes(range(32)))))


async def test_what_was_sealed_opens_and_two_boxes_of_one_text_differ(personal: PersonalKeys) -> None:
    first, second = await personal.seal(ACME, ADA, b"ada@acme"), await personal.seal(ACME, ADA, b"ada@acme")
    assert first != second
    assert [await personal.open(ACME, ADA, box) for box in (first, second)] == [b"ada@acme"] * 2


@pytest.mark.parametrize(("tenant", "user"), [(ACME, EVE), (GLOBEX, ADA)])
async def test_a_box_opens_for_nobody_else(personal: PersonalKeys, tenant: TenantId, user: UserId) -> None:
    box = await personal.seal(ACME, ADA, b"ada@acme")
    await personal.seal(tenant, user, b"another")
    with pytest.raises(NotFoundError):
        await personal.open(tenant, user, box)


async def test_a_key_that_was_moved_to_another_user_does_not_open(personal: PersonalKeys, database_file: Path) -> None:
    box = await personal.seal(ACME, ADA, b"ada@acme")
    sql(database_file, "update user_key set user = 'eve'")
    with pytest.raises(SealedError):
        await personal.open(ACME, EVE, box)


async def test_a_destroyed_key_opens_nothing_also_for_one_who_comes_back(personal: PersonalKeys) -> None:
    box, other = await personal.seal(ACME, ADA, b"ada@acme"), await personal.seal(ACME, EVE, b"eve@acme")
    assert await personal.shred(ACME, ADA)
    assert not await personal.shred(ACME, ADA)
    with pytest.raises(NotFoundError, match="erased"):
        await personal.open(ACME, ADA, box)
    again = await personal.seal(ACME, ADA, b"back")
    with pytest.raises(NotFoundError, match="erased"):
        await personal.open(ACME, ADA, box)
    assert await personal.open(ACME, ADA, again) == b"back"
    assert await personal.open(ACME, EVE, other) == b"eve@acme"


async def test_nothing_of_a_destroyed_key_is_left_in_the_file_or_its_log(
    personal: PersonalKeys, database: Database, database_file: Path
) -> None:
    await personal.seal(ACME, ADA, b"ada@acme")
    [(sealed,)] = sql(database_file, "select sealed from user_key")
    assert await database.truncate_log()
    assert sealed in bytes_on_disk(database_file)
    await personal.shred(ACME, ADA)
    assert await database.truncate_log()
    assert sealed not in bytes_on_disk(database_file)


@given(st.binary(max_size=200), st.integers(min_value=0))
def test_a_changed_byte_is_noticed(plaintext: bytes, place: int) -> None:
    sealed = bytearray(seal(bytes(32), plaintext, "personal"))
    sealed[place % len(sealed)] ^= 1
    with pytest.raises(SealedError):
        unseal(bytes(32), bytes(sealed), "personal")
