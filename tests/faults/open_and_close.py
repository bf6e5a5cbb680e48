"""Open and close ten pools, with calls; fail if one leaves a process, or more descriptors than the second left.

The argument is the event loop: asyncio or uvloop.
"""

import asyncio
import json
import sys

import uvloop

from tests.faults.stage import a_pool, call, descendants, descriptors, until


async def main() -> None:
    most = 0

    def has_no_more() -> bool:
        return len(descriptors()) <= most

    for number in range(10):
        async with a_pool(isolates_spare=1) as pool:
            assert await call(pool) == {"fine": True}
        await until(lambda: not descendants())
        if number < 2:  # the first two open what the process keeps
            most = len(descriptors())
        await until(has_no_more)  # uvloop closes a little later
    print(json.dumps({"pools": 10, "loop": type(asyncio.get_running_loop()).__module__}))


if __name__ == "__main__":
    if sys.argv[1] == "uvloop":
        uvloop.run(main())
    else:
        asyncio.run(main())
