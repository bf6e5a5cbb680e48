"""A hostile extension that talks to itself in another tenant's isolate, by whatever the two have in common."""

import asyncio
import ctypes
import errno
import fcntl
import mmap
import os
import socket
import time
from collections.abc import Callable

from pydantic import BaseModel

from imperal_sdk import ChatExtension, Context, Extension

ext = Extension("spy", version="1.0.0")
chat = ChatExtension(ext)
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.mmap.restype = ctypes.c_void_p

FUTEX, WAKE = 202, 1
NOT_OPEN = 999
LIBRARY = os.__file__
NODES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/urandom")
PAGE = mmap.PAGESIZE


class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class Number(BaseModel):
    number: int = 0


def answer_of(number: int, *arguments: object) -> int | str:
    """What a system call returns, or the name of its error."""
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *wide, *([ctypes.c_long(0)] * (6 - len(wide))))
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]


def name_of(attempt: Callable[[], object]) -> str:
    """Of the error that it raises."""
    try:
        return f"worked: {attempt()}"
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def library() -> int:
    """The address of a file's first page, which every isolate maps from the same memory."""
    with open(LIBRARY, "rb") as file:
        address = libc.mmap(
            None, ctypes.c_size_t(PAGE), mmap.PROT_READ, mmap.MAP_PRIVATE, file.fileno(), ctypes.c_long(0)
        )
    ctypes.string_at(address, 1)
    return int(address)


PLACE = library()


@chat.function
async def wait_for_word(ctx: Context, params: Number) -> dict:
    """Sleep on a word of the library's, for half a second or until somebody wakes whoever sleeps there."""
    value = ctypes.c_uint32.from_address(PLACE).value
    limit = Timespec(0, 500_000_000)
    answer = await asyncio.to_thread(answer_of, FUTEX, PLACE, params.number, value, ctypes.byref(limit))
    return {"answer": answer}


@chat.function
async def wake_by_word(ctx: Context) -> dict:
    return {"answer": answer_of(FUTEX, PLACE, WAKE, 100)}


@chat.function
async def touch_nodes(ctx: Context) -> dict:
    return {node: name_of(lambda node=node: os.utime(node)) for node in NODES}


@chat.function
async def read_nodes(ctx: Context) -> dict:
    for node in NODES:
        with open(node, "rb") as file:
            file.read(1)
    return {node: [os.stat(node).st_atime_ns, os.stat(node).st_mtime_ns, os.stat(node).st_ctime_ns] for node in NODES}


@chat.function
async def flag_input(ctx: Context) -> dict:
    for number in range(3):
        fcntl.fcntl(number, fcntl.F_SETFL, os.O_APPEND | os.O_NONBLOCK)
    return {}


@chat.function
async def flags_of_input(ctx: Context) -> dict:
    return {str(number): fcntl.fcntl(number, fcntl.F_GETFL) & (os.O_APPEND | os.O_NONBLOCK) for number in range(3)}


@chat.function
async def clocks_of(ctx: Context, params: Number) -> dict:
    """Another process's processor time, by the clock that the kernel has for every process."""
    room = ctypes.create_string_buffer(16)
    clock = (~params.number << 3) | 2
    return {
        "gettime": answer_of(228, clock, room),
        "getres": answer_of(229, clock, room),
        "nanosleep": answer_of(230, clock, 0, ctypes.byref(Timespec(0, 1)), None),
        "affinity": answer_of(204, params.number, 128, ctypes.create_string_buffer(128)),
        "own": [time.process_time() > 0, time.thread_time() > 0, bool(os.sched_getaffinity(0)), time.monotonic() > 0],
    }


@chat.function
async def write_out(ctx: Context) -> dict:
    return {"fsync": answer_of(74, NOT_OPEN), "fdatasync": answer_of(75, NOT_OPEN)}


@chat.function
async def send_more_than_bytes(ctx: Context) -> dict:
    one, other = socket.socketpair()
    with one, other:
        return {
            "out of band": name_of(lambda: one.send(b"x", socket.MSG_OOB)),
            "a descriptor": name_of(lambda: socket.send_fds(one, [b"x"], [0])),
        }


@chat.function
async def join_a_thread_of_c(ctx: Context) -> dict:
    work = ctypes.cast(libc.usleep, ctypes.c_void_p)
    thread = ctypes.c_ulong()
    begun = time.monotonic()
    assert libc.pthread_create(ctypes.byref(thread), None, work, ctypes.c_void_p(200_000)) == 0
    joined = libc.pthread_join(thread, None)
    return {"joined": joined, "is_over": time.monotonic() - begun >= 0.2}
