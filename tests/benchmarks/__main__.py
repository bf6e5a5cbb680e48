"""``python -m tests.benchmarks``: measure and print; with ``--check`` the exit status says whether all goals hold."""

import argparse
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from imperal_host import log
from tests.benchmarks import crowd, dispatch, echo, gateway, idle, ledger, report, start, streaming, vault
from tests.benchmarks.measure import FULL, QUICK
from tests.benchmarks.proxies import run as proxies
from tests.benchmarks.report import Row
from tests.benchmarks.world import World, world

GROUPS: dict[str, Callable[[World], Awaitable[list[Row]]]] = {
    "claim": start.claim,
    "cold": start.cold,
    "echo": echo.run,
    "memory": idle.run,
    "dispatch": dispatch.run,
    "ledger": ledger.run,
    "crowd": crowd.run,
    "streaming": streaming.run,
    "gateway": gateway.run,
    "proxies": proxies.run,
    "vault": vault.run,
}


def main() -> int:
    options = _options()
    log.configure("error")
    begun = time.monotonic()
    with world(QUICK if options.quick else FULL, options.place) as here:
        rows = uvloop.run(_measure(here, options.only or list(GROUPS)))
    report.show(rows)
    if options.json:
        report.write(rows, time.monotonic() - begun, options.json)
    missed = [row for row in rows if row.reached is False or row.failed]
    return 1 if options.check and missed else 0


async def _measure(here: World, names: list[str]) -> list[Row]:
    rows = []
    for name in names:
        begun = time.monotonic()
        rows += await GROUPS[name](here)
        print(f"{name}: measured in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=GROUPS, help="one group of figures; may be given again")
    parser.add_argument("--quick", action="store_true", help="few repeats: to see that it runs, not what it costs")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed or a row failed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--place", type=Path, metavar="DIR", help="where the ledger is put; default: the temporary one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
