"""The memory limit of an isolate's control group, where the host may make one."""

import pytest

from imperal_host.errors import HostError
from imperal_host.runtime.cgroups import Group
from imperal_host.runtime.channel import Channel
from tests.faults.stage import ADA, FAULTY, a_pool, call

_SMALL_BYTES = 96 << 20
_FILES = ("memory.max", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes")


async def test_the_kernel_kills_what_holds_more_than_its_group_may_and_the_author_is_told() -> None:
    async with a_pool() as pool:
        async with pool.lease(FAULTY, ADA) as isolate:
            assert isinstance(isolate, Channel)
            assert isolate._process._grouping is not None
            group: Group = await isolate._process._grouping
        files = [path / name for path in group.directories for name in _FILES if (path / name).exists()]
        for file in files:  # far below the address space: so it is the group that ends it
            file.write_text(str(_SMALL_BYTES))
        # Without one, the limit of the address space is what holds.
        said = "it was killed at the limit of" if files else "MiB of memory is reached"
        with pytest.raises(HostError, match=said):
            await call(pool, "fills_memory")
        assert not any(path.exists() for path in group.directories)
        assert await call(pool) == {"fine": True}
