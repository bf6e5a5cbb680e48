"""Descriptors: what it was given, what it could be given, and what it can do with those it has."""

import array
import errno
import fcntl
import os
import socket
import stat

from registry import AbsentError, Targets, act, system_call

from imperal_sdk import Context

_CHANNEL = 3
# The standard three, the channel, and what the event loop opens for itself: an epoll and a pair of sockets.
_EXPECTED_MAX = 7


@act("find a descriptor it should not have")
def scan(t: Targets, ctx: Context) -> str:
    found: dict[int, str] = {}
    for number in range(_CHANNEL, 1024):
        try:
            mode = os.fstat(number).st_mode
        except OSError:
            continue
        found[number] = "socket" if stat.S_ISSOCK(mode) else "file" if stat.S_IFMT(mode) else "anonymous"
    files = {number: kind for number, kind in found.items() if kind == "file"}
    if files or _CHANNEL + len(found) > _EXPECTED_MAX:
        return f"found {files or found}"
    raise AbsentError(f"only the channel and the event loop's own: {found}")


@act("find a socket with a name among its descriptors")
def named(t: Targets, ctx: Context) -> str:
    for number in range(1024):
        try:
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            with socket.socket(fileno=os.dup(number)) as opened:
                names = opened.getsockname(), opened.getpeername()
        except OSError:
            continue
        if any(names):
            return f"descriptor {number} is between {names}"
    raise AbsentError("all are nameless pairs")


@act("use the standard streams for more than text")
def streams(t: Targets, ctx: Context) -> str:
    kinds = {number: stat.S_IFMT(os.fstat(number).st_mode) for number in range(3)}
    # uvloop makes a pair of sockets where asyncio makes a pipe
    harmless = all(kind in (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK) for kind in kinds.values())
    if harmless and not any(os.isatty(number) for number in range(3)):
        raise AbsentError("pipes, nameless pairs or /dev/null, and no terminal")
    return f"they are {kinds}"


@act("receive a descriptor over the channel")
def receive_descriptor(t: Targets, ctx: Context) -> str:
    room = socket.CMSG_LEN(16 * array.array("i").itemsize)
    with socket.socket(fileno=os.dup(_CHANNEL)) as channel:
        _, ancillary, *_ = channel.recvmsg(1, room, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    if ancillary:
        return f"received {ancillary}"
    raise AbsentError("the host's bytes come alone")


@act("open a descriptor anew by its name in /dev/fd")
def reopen(t: Targets, ctx: Context) -> str:
    return f"opened {os.open('/dev/fd/1', os.O_RDWR)}"


@act("open a terminal")
def terminal(t: Targets, ctx: Context) -> str:
    return f"opened {os.open('/dev/tty', os.O_RDWR)}"


@act("climb out by a directory's descriptor")
def climb(t: Targets, ctx: Context) -> str:
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        opened = os.open(f"{'../' * 40}{str(t['canary_file']).lstrip('/')}", os.O_RDONLY, dir_fd=here)
    finally:
        os.close(here)
    return f"opened {opened}"


@act("put another descriptor in the channel's place")
def replace_channel(t: Targets, ctx: Context) -> str:
    os.dup2(1, 9)
    return "dup2 works"


_FCNTL = {
    "take a lease on a library": (1024, 0), "be notified of a directory's changes": (1026, 1),
    "own the signals of the channel": (8, 1), "lock a part of a library": (37, 0),
    "grow a pipe": (1031, 1 << 20), "seal a file": (1033, 1), "write a hint for the disk": (1036, 0),
}  # fmt: skip
for name, (command, value) in _FCNTL.items():

    def _fcntl(t: Targets, ctx: Context, command: int = command, value: int = value) -> str:
        with open(os.__file__, "rb") as file:
            return f"answered {fcntl.fcntl(file, command, value)}"

    act(f"fcntl: {name}")(_fcntl)

_IOCTLS = {
    "type into a terminal (TIOCSTI)": 0x5412, "take a terminal (TIOCSCTTY)": 0x540E,
    "paste into a console (TIOCLINUX)": 0x541C, "list the network's interfaces (SIOCGIFCONF)": 0x8912,
    "ask for signals (FIOASYNC)": 0x5452, "clone a file's blocks (FICLONE)": 0x40049409,
    "make a file unchangeable (FS_IOC_SETFLAGS)": 0x40086602, "freeze a file system (FIFREEZE)": 0xC0045877,
}  # fmt: skip
for name, request in _IOCTLS.items():
    act(f"ioctl: {name}")(lambda t, ctx, request=request: f"answered {system_call(16, 1, request, bytes(64))}")


@act("close every descriptor at once")
def close_all(t: Targets, ctx: Context) -> str:
    return f"closed: {system_call(436, 900, 1000, 0)}"


@act("close the channel")
def close_channel(t: Targets, ctx: Context) -> str:
    os.close(_CHANNEL)
    raise OSError(errno.EPIPE, "it has nobody to answer now")


@act("control: copy a descriptor")
def copy(t: Targets, ctx: Context) -> str:
    copied = os.dup(1)
    os.close(copied)
    return f"it was {copied}"
