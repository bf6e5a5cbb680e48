"""A host that runs out of descriptors refuses, loses none, and works again."""

import contextlib
import os
import resource
from collections.abc import Iterator

import pytest

from imperal_host.errors import HostError
from tests.faults.stage import BOB, a_pool, call, children, descriptors, until


@contextlib.contextmanager
def room_for(more: int) -> Iterator[None]:
    lowest = os.open("/", os.O_RDONLY)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("more", range(8))
async def test_a_zygote_that_finds_no_room(more: int) -> None:
    async with a_pool() as warm:  # what the loop opens once and keeps
        await call(warm)
    before, children_before = descriptors(), children()
    async with a_pool() as pool:
        with room_for(more), contextlib.suppress(HostError):
            await call(pool)
            assert more > 5, "there was no room"
        assert await call(pool) == {"fine": True}
    await until(lambda: descriptors() == before and children() == children_before)


@pytest.mark.parametrize("more", range(7))
async def test_an_isolate_that_finds_no_room(more: int) -> None:
    async with a_pool() as pool:
        await call(pool)
        before = descriptors()
        with room_for(more):
            if more < 4:
                with pytest.raises(HostError):
                    await call(pool, principal=BOB)
            else:
                with contextlib.suppress(HostError):
                    await call(pool, principal=BOB)
        if more < 4:
            await until(lambda: descriptors() == before)
        assert await call(pool, principal=BOB) == {"fine": True}
        assert await call(pool) == {"fine": True}
