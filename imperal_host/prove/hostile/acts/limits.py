"""Taking more than its part: of memory, disk, threads, descriptors, time and the host's attention."""

import asyncio
import mmap
import os
import threading
from pathlib import Path

from registry import Done, Targets, act

from imperal_sdk import Context


@act("take 8 GiB of memory")
def memory(t: Targets, ctx: Context) -> str:
    return f"took {len(bytearray(8 << 30)):,}"


@act("take memory in small pieces")
def memory_in_pieces(t: Targets, ctx: Context) -> str:
    held = [bytearray(1 << 20) for _ in range(8 << 10)]
    return f"took {len(held)} MiB"


@act("take address space")
def addresses(t: Targets, ctx: Context) -> str:
    held = [mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) for _ in range(64)]
    return f"took {len(held)} GiB"


@act("write one file of 1 GiB")
def one_file(t: Targets, ctx: Context) -> str:
    with open("large", "wb", 0) as file:
        for _ in range(1 << 10):
            file.write(bytes(1 << 20))
    return "wrote it"


@act("fill the disk with files")
def disk(t: Targets, ctx: Context) -> str:
    for index in range(1 << 10):
        Path(f"part{index}").write_bytes(bytes(1 << 20))
    return "wrote 1 GiB"


@act("make a file with a hole of 1 TiB")
def sparse(t: Targets, ctx: Context) -> str:
    with open("sparse", "wb") as file:
        file.truncate(1 << 40)
    return "made it"


@act("reserve 1 GiB of disk")
def reserve(t: Targets, ctx: Context) -> str:
    with open("reserved", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 30)
    return "reserved it"


@act("make 100,000 empty files")
def inodes(t: Targets, ctx: Context) -> str:
    for index in range(100_000):
        Path(f"empty{index}").touch()
    return "made them"


@act("start 5,000 threads")
def threads(t: Targets, ctx: Context) -> str:
    gate = threading.Event()
    try:
        for _ in range(5_000):
            threading.Thread(target=gate.wait, daemon=True).start()
    finally:
        gate.set()
    return "started them"


@act("open 5,000 files")
def files(t: Targets, ctx: Context) -> str:
    held = []
    try:
        for _ in range(5_000):
            held.append(os.open("/dev/null", os.O_RDONLY))
    finally:
        for number in held:
            os.close(number)
    return "opened them"


@act("fill 1,000 pipes")
def pipes(t: Targets, ctx: Context) -> str:
    held: list[int] = []
    try:
        for _ in range(1_000):
            held += os.pipe()
            os.set_blocking(held[-1], False)
            os.write(held[-1], bytes(1 << 16))
    finally:
        for number in held:
            os.close(number)
    return "filled them"


@act("use the processor for ever")
def spin(t: Targets, ctx: Context) -> str:
    while True:
        pass


@act("use the processor for ever in all its threads")
def spin_in_threads(t: Targets, ctx: Context) -> str:
    def endless() -> None:
        while True:
            pass

    for _ in range(8):
        threading.Thread(target=endless, daemon=True).start()
    endless()
    return ""


@act("sleep for ever")
async def sleep(t: Targets, ctx: Context) -> str:
    await asyncio.sleep(1e9)
    return ""


@act("overrun the stack")
def recursion(t: Targets, ctx: Context) -> str:
    import sys

    sys.setrecursionlimit(1 << 30)

    class Deep:
        def __repr__(self) -> str:
            return repr(self)

    return f"deep: {Deep()!r}"


@act("print 32 MiB")
def output(t: Targets, ctx: Context) -> str:
    for _ in range(32):
        os.write(1, b"flood of output\n" * (1 << 16))
    return Done("printed it")


@act("print one line of 16 MiB")
def long_line(t: Targets, ctx: Context) -> str:
    for _ in range(16):
        os.write(2, b"x" * (1 << 20))
    return Done("printed it")


@act("print what a terminal obeys")
def terminal(t: Targets, ctx: Context) -> str:
    print("\x1b[2J\x1b]0;hostile\x07\x9b31m\u202e", flush=True)
    return Done("printed it")


@act("log 5,000 lines")
def log(t: Targets, ctx: Context) -> str:
    for index in range(5_000):
        ctx.log.info("flood", index=index)
    return Done("logged them")


@act("log what would be two lines")
def log_lines(t: Targets, ctx: Context) -> str:
    ctx.log.info("one\ntwo", **{"key\nwith": "a\r\nline"})
    return Done("logged it")


@act("report progress 5,000 times")
def progress(t: Targets, ctx: Context) -> str:
    for index in range(5_000):
        ctx.progress(index / 50, "x" * 500)
    return Done("reported it")


@act("control: take 1 MiB of memory")
def modest(t: Targets, ctx: Context) -> str:
    return f"took {len(bytearray(1 << 20)):,}"
