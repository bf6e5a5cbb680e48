"""The vault: a secret opened with a tenant key that was not in use, and all tenant keys wrapped anew."""

import os
import tempfile
import time
from functools import partial
from pathlib import Path

from imperal_host.identity import TenantId
from imperal_host.storage.database import Database
from imperal_host.vault.keyring import open_keyring
from imperal_host.vault.rotation import Rotation
from imperal_host.vault.secret import Secret
from imperal_host.vault.store import Vault
from tests.benchmarks.measure import FULL, percentile
from tests.benchmarks.report import Figures, Goal, Row, measured
from tests.benchmarks.world import World


async def run(world: World) -> list[Row]:
    tenants = 10_000 if world.effort is FULL else 200
    goals = Goal("open_p50_us", "<=", 100), Goal("rewrap_ms", "<=", 5_000)
    work = partial(_measure, world.place, tenants)
    what, note = "the vault", f"{tenants:,} tenants, each secret opened once; tenant keys are never cached"
    return [await measured(what, "imperal", "vault", work, *goals, note=note)]


async def _measure(place: Path, tenants: int) -> Figures:
    with tempfile.TemporaryDirectory(dir=place) as name:
        here = Path(name)
        database = Database.open(here / "data" / "host.sqlite3")
        try:
            return await _figures(database, here, tenants)
        finally:
            database.close()


async def _figures(database: Database, here: Path, tenants: int) -> Figures:
    ring = await open_keyring(database, here / "keys" / "kek", here / "data")
    vault = Vault(database, ring)
    views = [vault.view(TenantId(f"tenant{number}")) for number in range(tenants)]
    secret = Secret("sk-" + os.urandom(24).hex())
    await database.write(lambda t: [view.put(t, "llm", 1, secret) for view in views])
    times = []
    for view in views:
        begun = time.perf_counter()
        await view.open("llm", 1)
        times.append(time.perf_counter() - begun)
    rotation = Rotation(database, ring, _nowhere)
    added = await rotation.add(f"file:{here / 'keys' / 'next'}")
    await rotation.promote(added.kek_id)
    begun = time.perf_counter()
    assert await rotation.rewrap() == tenants
    rewrap_ms = (time.perf_counter() - begun) * 1e3
    return {
        "open_p50_us": percentile(times, 0.5) * 1e6,
        "open_p99_us": percentile(times, 0.99) * 1e6,
        "rewrap_ms": rewrap_ms,
    }


async def _nowhere(step: str, details: dict[str, str]) -> None:
    """The ledger has figures of its own."""
