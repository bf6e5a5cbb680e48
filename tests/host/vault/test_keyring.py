"""The KEK: made once, read ever after, never guessed and never replaced."""

import os
from pathlib import Path

import pytest

from imperal_host.errors import SealedError, SetupError
from imperal_host.storage.database import Database
from imperal_host.vault.keyring import FileKek, open_keyring
from tests.host.conftest import sql


@pytest.fixture
def kek_file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "kek"


async def test_the_first_run_makes_a_key_that_only_its_owner_may_read(
    database: Database, kek_file: Path, data_dir: Path
) -> None:
    ring = await open_keyring(database, kek_file, data_dir)
    kek = await database.read(ring.current)
    assert kek_file.stat().st_mode & 0o777 == 0o600
    assert kek_file.parent.stat().st_mode & 0o077 == 0
    assert len(bytes.fromhex(kek_file.read_text())) == 32
    assert not list(data_dir.glob("**/kek*"))
    again = await database.read((await open_keyring(database, kek_file, data_dir)).current)
    assert again.key_id == kek.key_id
    assert again.unwrap(kek.wrap(b"tenant key", "acme"), "acme") == b"tenant key"


@pytest.mark.parametrize("inside", ["kek", "keys/kek", "../data/kek"])
async def test_a_key_inside_the_data_directory_is_refused_and_not_made(
    database: Database, data_dir: Path, inside: str
) -> None:
    with pytest.raises(SetupError, match="IMPERAL_KEK_FILE"):
        await open_keyring(database, data_dir / inside, data_dir)
    assert not (data_dir / "kek").exists()


async def test_a_link_into_the_data_directory_is_refused_too(
    database: Database, data_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").symlink_to(data_dir)
    with pytest.raises(SetupError, match="inside the data directory"):
        await open_keyring(database, tmp_path / "elsewhere" / "kek", data_dir)


async def test_a_missing_key_over_sealed_data_is_refused_and_none_is_made(
    database: Database, kek_file: Path, data_dir: Path
) -> None:
    await open_keyring(database, kek_file, data_dir)
    kek_file.unlink()
    with pytest.raises(SealedError, match="restore it from a backup"):
        await open_keyring(database, kek_file, data_dir)
    assert not kek_file.exists()


async def test_another_key_is_refused(database: Database, kek_file: Path, data_dir: Path) -> None:
    await open_keyring(database, kek_file, data_dir)
    kek_file.unlink()
    FileKek.create(kek_file)
    with pytest.raises(SealedError, match="restore the right file"):
        await open_keyring(database, kek_file, data_dir)


async def test_a_check_that_was_forged_does_not_open(
    database: Database, database_file: Path, kek_file: Path, data_dir: Path
) -> None:
    await open_keyring(database, kek_file, data_dir)
    sql(database_file, "update key_check set sealed = zeroblob(length(sealed))")
    with pytest.raises(SealedError, match="does not open"):
        await open_keyring(database, kek_file, data_dir)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o666, 0o777])
async def test_a_key_that_others_can_reach_is_refused(
    database: Database, kek_file: Path, data_dir: Path, mode: int
) -> None:
    FileKek.create(kek_file)
    kek_file.chmod(mode)
    with pytest.raises(SealedError, match="chmod 600"):
        await open_keyring(database, kek_file, data_dir)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"not hexadecimal at all", b"00" * 31, b"00" * 33, b"0" * 63, b"\xff\xfe" * 32, bytes(32)],
)
async def test_garbage_is_refused_kept_and_not_told(
    database: Database, kek_file: Path, data_dir: Path, content: bytes
) -> None:
    kek_file.parent.mkdir()
    kek_file.write_bytes(content)
    kek_file.chmod(0o600)
    with pytest.raises(SealedError) as refusal:
        await open_keyring(database, kek_file, data_dir)
    assert str(kek_file) in str(refusal.value)
    assert "00000000" not in str(refusal.value)
    assert kek_file.read_bytes() == content


async def test_a_directory_in_its_place_is_refused(database: Database, kek_file: Path, data_dir: Path) -> None:
    kek_file.mkdir(parents=True)
    with pytest.raises(SealedError, match="cannot be read"):
        await open_keyring(database, kek_file, data_dir)


def test_creating_never_overwrites(kek_file: Path) -> None:
    FileKek.create(kek_file)
    before = kek_file.read_bytes()
    with pytest.raises(SetupError, match="IMPERAL_KEK_FILE"):
        FileKek.create(kek_file)
    assert kek_file.read_bytes() == before


def test_a_dangling_link_is_not_followed_when_a_key_is_made(kek_file: Path, tmp_path: Path) -> None:
    kek_file.parent.mkdir()
    kek_file.symlink_to(tmp_path / "somewhere-else")
    with pytest.raises(SetupError):
        FileKek.create(kek_file)
    assert not (tmp_path / "somewhere-else").exists()


def test_a_place_that_cannot_be_made_is_a_setup_error(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file, not a directory")
    with pytest.raises(SetupError, match="IMPERAL_KEK_FILE"):
        FileKek.create(tmp_path / "config" / "kek")


def test_the_umask_does_not_open_it(kek_file: Path) -> None:
    before = os.umask(0)
    try:
        FileKek.create(kek_file)
    finally:
        os.umask(before)
    assert kek_file.stat().st_mode & 0o777 == 0o600


def test_the_id_of_a_key_is_stable_and_is_not_the_key() -> None:
    key = bytes(range(32))
    assert FileKek(key).key_id == FileKek(key).key_id != FileKek(bytes(32)).key_id
    assert FileKek(key).key_id not in key.hex()
