"""From one KEK to the next: what each step allows, what killing leaves, and that nothing stops opening meanwhile."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from imperal_host.errors import InvalidError, NotFoundError, SealedError, SetupError
from imperal_host.identity import TenantId
from imperal_host.storage.database import Database
from imperal_host.vault.keyring import Ring, open_keyring
from imperal_host.vault.rotation import Rotation
from imperal_host.vault.secret import Secret
from imperal_host.vault.store import Vault


class Recorded:
    def __init__(self) -> None:
        self.steps: list[tuple[str, dict[str, str]]] = []

    async def __call__(self, step: str, details: dict[str, str]) -> None:
        self.steps.append((step, details))


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def ring_of(database: Database, keys: Path, data_dir: Path) -> Ring:
    return await open_keyring(database, keys / "kek", data_dir)


async def put(database: Database, ring: Ring, tenants: int) -> None:
    vault = Vault(database, ring)
    for number in range(tenants):
        view = vault.view(TenantId(f"tenant{number}"))
        await database.write(lambda t, v=view, n=number: v.put(t, "llm", 1, Secret(f"sk-{n}")))  # type: ignore[misc]


async def opened(database: Database, ring: Ring, tenants: int) -> list[str]:
    vault = Vault(database, ring)
    return [(await vault.view(TenantId(f"tenant{n}")).open("llm", 1)).reveal() for n in range(tenants)]


async def test_a_whole_rotation(database: Database, keys: Path, data_dir: Path) -> None:
    ring, recorded = await ring_of(database, keys, data_dir), Recorded()
    await put(database, ring, 3)
    other = await ring_of(database, keys, data_dir)  # another process, that was there before
    rotation = Rotation(database, ring, recorded)
    (first,) = await rotation.status()
    assert (first.state, first.uses) == ("promoted", 3)

    added = await rotation.add(f"file:{keys / 'second'}")
    assert (added.state, added.uses) == ("new", 0)
    with pytest.raises(InvalidError, match="promote another first"):
        await rotation.retire(first.kek_id)
    assert (await rotation.promote(added.kek_id)).state == "promoted"
    with pytest.raises(InvalidError, match="still wraps 3 tenant keys"):
        await rotation.retire(first.kek_id)
    seen: list[tuple[int, int]] = []
    assert await rotation.rewrap(lambda done, total: seen.append((done, total))) == 3
    assert seen == [(3, 3)]
    assert (await rotation.retire(first.kek_id)).state == "retired"

    (keys / "kek").unlink()
    expected = ["sk-0", "sk-1", "sk-2"]
    assert await opened(database, ring, 3) == expected
    assert await opened(database, other, 3) == expected, "a process that knew the old key only"
    assert await opened(database, await ring_of(database, keys, data_dir), 3) == expected
    assert [step for step, _ in recorded.steps] == ["add", "promote", "rewrap", "retire"]
    assert not any("sk-" in str(details) for _, details in recorded.steps)


async def test_every_step_may_be_made_again(database: Database, keys: Path, data_dir: Path) -> None:
    ring, recorded = await ring_of(database, keys, data_dir), Recorded()
    await put(database, ring, 2)
    rotation = Rotation(database, ring, recorded)
    (first,) = await rotation.status()
    location = f"file:{keys / 'second'}"
    for _ in range(2):
        added = await rotation.add(location)
    for _ in range(2):
        await rotation.promote(added.kek_id)
    assert [await rotation.rewrap(), await rotation.rewrap()] == [2, 0]
    for _ in range(2):
        await rotation.retire(first.kek_id)
    assert [(key.state, key.uses) for key in await rotation.status()] == [("retired", 0), ("promoted", 2)]


async def test_a_step_that_cannot_be_put_on_record_is_not_made(database: Database, keys: Path, data_dir: Path) -> None:
    async def full(step: str, details: dict[str, str]) -> None:
        raise OSError("the disk is full")

    ring = await ring_of(database, keys, data_dir)
    await put(database, ring, 1)
    rotation = Rotation(database, ring, full)
    before = await rotation.status()
    with pytest.raises(OSError, match="full"):
        await rotation.add(f"file:{keys / 'second'}")
    assert await rotation.status() == before


async def test_a_kek_that_is_gone_or_another_refuses_the_start(database: Database, keys: Path, data_dir: Path) -> None:
    ring = await ring_of(database, keys, data_dir)
    await put(database, ring, 1)
    rotation = Rotation(database, ring, Recorded())
    added = await rotation.add(f"file:{keys / 'second'}")
    await rotation.promote(added.kek_id)
    for spoil in (lambda file: file.unlink(), lambda file: file.write_text("ab" * 32)):
        kept = (keys / "kek").read_text()
        spoil(keys / "kek")
        with pytest.raises(SealedError):
            await ring_of(database, keys, data_dir)
        (keys / "kek").write_text(kept)
        (keys / "kek").chmod(0o600)
    await ring_of(database, keys, data_dir)


async def test_a_tenant_key_that_does_not_open_stops_the_rewrap_and_loses_nothing(
    database: Database, keys: Path, data_dir: Path
) -> None:
    ring = await ring_of(database, keys, data_dir)
    await put(database, ring, 3)
    rotation = Rotation(database, ring, Recorded())
    await rotation.promote((await rotation.add(f"file:{keys / 'second'}")).kek_id)
    await database.write(lambda t: t.run("update tenant_key set wrapped = x'00' where tenant = 'tenant1'"))
    with pytest.raises(SealedError, match="'tenant1'"):
        await rotation.rewrap()
    assert await opened(database, ring, 1) == ["sk-0"]


async def test_no_new_kek_is_made_over_existing_data(database: Database, keys: Path, data_dir: Path) -> None:
    ring = await ring_of(database, keys, data_dir)
    await put(database, ring, 1)
    await database.write(lambda t: t.run("delete from key_check"))
    (keys / "kek").unlink()
    with pytest.raises(SealedError):
        await ring_of(database, keys, data_dir)
    assert not (keys / "kek").exists()


async def test_what_is_not_in_the_ring_is_not_found(database: Database, keys: Path, data_dir: Path) -> None:
    rotation = Rotation(database, await ring_of(database, keys, data_dir), Recorded())
    for wrong in ("", "zz"):
        with pytest.raises(NotFoundError, match="keys status"):
            await rotation.find(wrong)


_ROTATE = """
import asyncio, sys
from pathlib import Path
from imperal_host.storage.database import Database
from imperal_host.vault.keyring import open_keyring
from imperal_host.vault.rotation import Rotation
import imperal_host.vault.rotation as rotation_module
rotation_module._BATCH = 7

async def main(file, keys, data):
    database = Database.open(Path(file))
    ring = await open_keyring(database, Path(keys) / "kek", Path(data))
    async def record(step, details): print(step, flush=True)
    rotation = Rotation(database, ring, record)
    added = await rotation.add(f"file:{keys}/second")
    await rotation.promote(added.kek_id)
    await rotation.rewrap(lambda done, total: print(done, flush=True))
    old = next(key for key in await rotation.status() if key.kek_id != added.kek_id)
    await rotation.retire(old.kek_id)
    print("end", flush=True)
    database.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("kill_after", ["add", "promote", "rewrap", "7", "14", "63", "retire"])
async def test_killed_anywhere_the_same_steps_go_on(
    database: Database, database_file: Path, keys: Path, data_dir: Path, kill_after: str
) -> None:
    ring = await ring_of(database, keys, data_dir)
    await put(database, ring, 70)
    command = (sys.executable, "-c", _ROTATE, str(database_file), str(keys), str(data_dir))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async for line in process.stdout:
        if line.decode().strip() == kill_after:
            os.kill(process.pid, signal.SIGKILL)
            break
    await process.wait()
    expected = [f"sk-{n}" for n in range(70)]
    assert await opened(database, await ring_of(database, keys, data_dir), 70) == expected

    again = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await again.communicate()
    assert out.decode().split()[-1] == "end"
    assert await opened(database, ring, 70) == expected
    states = {key.state: key.uses for key in await Rotation(database, ring, Recorded()).status()}
    assert states == {"retired": 0, "promoted": 70}


async def test_a_scheme_that_nobody_knows_is_said_so(database: Database, keys: Path, data_dir: Path) -> None:
    ring = await ring_of(database, keys, data_dir)
    with pytest.raises(SetupError, match="no source of keys knows 'gopher'"):
        await Rotation(database, ring, Recorded()).add("gopher:x")
