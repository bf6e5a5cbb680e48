"""A host whose isolates rest; prints their pids and its zygotes' as JSON, and waits to be killed.

Arguments: the tier, and how many isolates.
"""

import asyncio
import json
import sys

from imperal_host.identity import Principal, TenantId, UserId
from imperal_host.runtime.cgroups import Cgroups
from tests.faults.stage import a_pool, call, descendants


async def main(tier: str, count: int) -> None:
    async with a_pool(sandbox=tier, isolates_max=count) as pool:
        pids: list[int] = []
        for number in range(count):
            await call(pool, principal=Principal(TenantId(f"t{number}"), UserId("ada")), pids=pids)
        groups: Cgroups = pool._launcher._cgroups  # type: ignore[attr-defined]
        seen = {"isolates": pids, "all": descendants(), "groups": [str(path) for path in groups._parents]}
        print(json.dumps(seen), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
