"""Secrets in the file: sealed, and bound to where they stand."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from imperal_host.errors import IntegrityError, NotFoundError, SealedError
from imperal_host.identity import TenantId
from imperal_host.storage.database import Database, Transaction
from imperal_host.vault.keyring import FileKek
from imperal_host.vault.secret import Secret
from imperal_host.vault.store import Vault
from tests.host.conftest import bytes_on_disk, sql

ACME, GLOBEX = TenantId("acme"), TenantId("globex")
Put = Callable[[TenantId, str, int, str], Awaitable[None]]
KEY = "sk-proj-0123456789abcdefghijklmnop"


@pytest.fixture
def vault(database: Database) -> Vault:
    return Vault(database, FileKek(bytes(range(32))))


@pytest.fixture
def put(database: Database, vault: Vault) -> Put:
    async def put(tenant: TenantId, name: str, version: int, value: str) -> None:
        await database.write(lambda t: vault.view(tenant).put(t, name, version, Secret(value)))

    return put


async def test_a_secret_comes_back_from_another_vault_on_the_same_file(put: Put, database: Database) -> None:
    await put(ACME, "llm/user/ada", 1, KEY)
    reopened = Vault(database, FileKek(bytes(range(32))))
    assert (await reopened.view(ACME).open("llm/user/ada", 1)).reveal() == KEY


async def test_an_empty_and_a_unicode_secret_come_back(put: Put, vault: Vault) -> None:
    await put(ACME, "empty", 1, "")
    await put(ACME, "unicode", 1, "schlüssel-鍵")
    assert (await vault.view(ACME).open("empty", 1)).reveal() == ""
    assert (await vault.view(ACME).open("unicode", 1)).reveal() == "schlüssel-鍵"


@pytest.mark.parametrize(("name", "version"), [("llm/user/eve", 1), ("llm/user/ada", 2), ("llm/user/ada", 0)])
async def test_what_is_not_there_is_not_found(put: Put, vault: Vault, name: str, version: int) -> None:
    await put(ACME, "llm/user/ada", 1, KEY)
    with pytest.raises(NotFoundError):
        await vault.view(ACME).open(name, version)


async def test_a_view_sees_its_own_tenant_only(put: Put, vault: Vault) -> None:
    await put(ACME, "llm/user/ada", 1, KEY)
    with pytest.raises(NotFoundError):
        await vault.view(GLOBEX).open("llm/user/ada", 1)
    await put(GLOBEX, "llm/user/ada", 1, "another key of another tenant")
    assert (await vault.view(ACME).open("llm/user/ada", 1)).reveal() == KEY
    assert (await vault.view(GLOBEX).open("llm/user/ada", 1)).reveal() == "another key of another tenant"


async def test_forgetting_removes_every_version_of_one_name_of_one_tenant(
    put: Put, vault: Vault, database: Database
) -> None:
    for tenant, name, version in [(ACME, "a", 1), (ACME, "a", 2), (ACME, "b", 1), (GLOBEX, "a", 1)]:
        await put(tenant, name, version, KEY)
    await database.write(lambda t: vault.view(ACME).forget(t, "a"))
    left = await database.read(lambda t: t.rows("select tenant, name, version from secret order by 1, 2"))
    assert left == [("acme", "b", 1), ("globex", "a", 1)]


async def test_a_version_is_never_overwritten(put: Put, vault: Vault) -> None:
    await put(ACME, "a", 1, "first")
    with pytest.raises(IntegrityError):
        await put(ACME, "a", 1, "second")
    assert (await vault.view(ACME).open("a", 1)).reveal() == "first"


SWAPS = {
    "tenants": "tenant = 'globex' and name = 'a' and version = 1",
    "names": "tenant = 'acme' and name = 'b' and version = 1",
    "versions": "tenant = 'acme' and name = 'a' and version = 2",
}


@pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS)
async def test_a_ciphertext_that_was_moved_does_not_open(
    put: Put, vault: Vault, database_file: Path, swap: str
) -> None:
    for tenant, name, version in [(ACME, "a", 1), (ACME, "a", 2), (ACME, "b", 1), (GLOBEX, "a", 1)]:
        await put(tenant, name, version, f"{tenant} {name} {version}")
    source = "tenant = 'acme' and name = 'a' and version = 1"
    sql(database_file, f"update secret set sealed = (select sealed from secret where {source}) where {swap}")
    moved = sql(database_file, f"select tenant, name, version from secret where {swap}")[0]
    with pytest.raises(SealedError):
        await vault.view(TenantId(moved[0])).open(moved[1], moved[2])


async def test_a_tenant_key_that_was_moved_with_its_secret_does_not_open(
    put: Put, vault: Vault, database_file: Path
) -> None:
    await put(ACME, "a", 1, KEY)
    await put(GLOBEX, "a", 1, "mine")
    for table, column in (("tenant_key", "wrapped"), ("secret", "sealed")):
        of_acme = f"(select {column} from {table} where tenant = 'acme')"
        sql(database_file, f"update {table} set {column} = {of_acme} where tenant = 'globex'")
    with pytest.raises(SealedError):
        await vault.view(GLOBEX).open("a", 1)


async def test_a_changed_byte_in_the_file_is_sealed_and_never_not_found(
    put: Put, vault: Vault, database_file: Path
) -> None:
    await put(ACME, "a", 1, KEY)
    sealed = bytearray(sql(database_file, "select sealed from secret")[0][0])
    sealed[20] ^= 1
    sql(database_file, "update secret set sealed = ?", bytes(sealed))
    with pytest.raises(SealedError) as refusal:
        await vault.view(ACME).open("a", 1)
    assert KEY not in str(refusal.value)


async def test_a_missing_tenant_key_is_sealed_and_never_not_found(put: Put, vault: Vault, database_file: Path) -> None:
    await put(ACME, "a", 1, KEY)
    sql(database_file, "delete from tenant_key")
    with pytest.raises(SealedError, match="is gone"):
        await vault.view(ACME).open("a", 1)


async def test_another_kek_opens_nothing_and_seals_nothing_beside_it(put: Put, database: Database) -> None:
    await put(ACME, "a", 1, KEY)
    other = Vault(database, FileKek(bytes(32))).view(ACME)
    with pytest.raises(SealedError, match="not loaded"):
        await other.open("a", 1)
    with pytest.raises(SealedError, match="not loaded"):
        await database.write(lambda t: other.put(t, "b", 1, Secret("x")))


async def test_a_write_that_fails_leaves_no_secret_behind(vault: Vault, database: Database) -> None:
    def half(transaction: Transaction) -> None:
        vault.view(ACME).put(transaction, "a", 1, Secret(KEY))
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(half)
    with pytest.raises(NotFoundError):
        await vault.view(ACME).open("a", 1)


async def test_the_plaintext_is_nowhere_on_the_disk(
    put: Put, database: Database, vault: Vault, database_file: Path
) -> None:
    await put(ACME, "a", 1, KEY)
    await put(ACME, "a", 2, KEY)
    await database.write(lambda t: vault.view(ACME).forget(t, "a"))
    await put(ACME, "visible-name", 3, KEY)
    on_disk = bytes_on_disk(database_file)
    assert b"visible-name" in on_disk
    assert KEY.encode() not in on_disk
    assert KEY[8:24].encode() not in on_disk
    assert bytes(range(32)) not in on_disk


async def test_a_superseded_version_opens_for_calls_in_flight_and_then_no_more(
    database: Database, database_file: Path
) -> None:
    now = [1_000.0]
    vault = Vault(database, FileKek(bytes(range(32))), lambda: now[0])
    view = vault.view(ACME)
    await database.write(lambda t: view.put(t, "llm", 1, Secret("first")))
    await database.write(lambda t: (view.supersede(t, "llm", 120), view.put(t, "llm", 2, Secret("second"))))
    now[0] = 1_119.0
    assert [(await view.open("llm", version)).reveal() for version in (1, 2)] == ["first", "second"]
    now[0] = 1_120.0
    with pytest.raises(NotFoundError):
        await view.open("llm", 1)
    assert (await view.open("llm", 2)).reveal() == "second"
    await vault.purge()
    assert sql(database_file, "select version from secret") == [(2,)]


async def test_only_the_newest_few_superseded_versions_are_kept(database: Database, database_file: Path) -> None:
    view = Vault(database, FileKek(bytes(range(32)))).view(ACME)
    for version in range(1, 31):
        await database.write(lambda t, v=version: (view.supersede(t, "llm", 120), view.put(t, "llm", v, Secret("k"))))  # type: ignore[misc]
    assert sql(database_file, "select min(version), max(version) from secret") == [(22, 30)]


async def test_an_old_version_put_in_the_place_of_the_new_one_does_not_open(
    database: Database, vault: Vault, database_file: Path
) -> None:
    view = vault.view(ACME)
    await database.write(lambda t: view.put(t, "llm", 1, Secret("first")))
    await database.write(lambda t: (view.supersede(t, "llm", 120), view.put(t, "llm", 2, Secret("second"))))
    sql(database_file, "update secret set sealed = (select sealed from secret where version = 1) where version = 2")
    with pytest.raises(SealedError):
        await view.open("llm", 2)
