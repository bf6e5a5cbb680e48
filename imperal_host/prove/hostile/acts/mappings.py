"""Memory: to make new code, or to share a page."""

import ctypes
import errno
import mmap
import os
import struct
import sys
from collections.abc import Iterator

from registry import AbsentError, Targets, act, system_call

from imperal_sdk import Context

_PAGE = 4096
_READ, _WRITE, _EXECUTE = 1, 2, 4
_SHARED, _PRIVATE, _SHARED_VALIDATE, _FIXED, _ANONYMOUS = 1, 2, 3, 16, 32
_libc = ctypes.CDLL(None, use_errno=True)


def _map(protection: int, flags: int, descriptor: int = -1, address: int = 0) -> int:
    return system_call(9, address, _PAGE, protection, flags, descriptor, 0)


@act("map memory that can be written and run")
def writable_code(t: Targets, ctx: Context) -> str:
    return f"mapped at {_map(_READ | _WRITE | _EXECUTE, _PRIVATE | _ANONYMOUS):#x}"


@act("make written memory runnable")
def run_what_was_written(t: Targets, ctx: Context) -> str:
    place = _map(_READ | _WRITE, _PRIVATE | _ANONYMOUS)
    system_call(10, place, _PAGE, _READ | _EXECUTE)
    return f"code of its own at {place:#x}"


@act("make memory runnable that never was written")
def run_empty(t: Targets, ctx: Context) -> str:
    place = _map(_READ, _PRIVATE | _ANONYMOUS)
    system_call(10, place, _PAGE, _READ | _EXECUTE)
    return f"runnable at {place:#x}"


@act("make a library's code writable")
def write_library_code(t: Targets, ctx: Context) -> str:
    place = ctypes.cast(_libc.getpid, ctypes.c_void_p).value or 0
    system_call(10, place & -_PAGE, _PAGE, _READ | _WRITE | _EXECUTE)
    return f"writable code at {place:#x}"


@act("map a file of its own as code")
def map_file_as_code(t: Targets, ctx: Context) -> str:
    with open("code", "w+b") as file:
        file.write(b"\xc3" * _PAGE)
        file.flush()
        return f"mapped at {_map(_READ | _EXECUTE, _PRIVATE, file.fileno()):#x}"


@act("map the first page of memory")
def map_zero(t: Targets, ctx: Context) -> str:
    return f"mapped at {_map(_READ | _WRITE, _PRIVATE | _ANONYMOUS | _FIXED):#x}"


for name, flags in {"MAP_SHARED": _SHARED, "MAP_SHARED_VALIDATE": _SHARED_VALIDATE}.items():
    act(f"share memory: anonymous, {name}")(
        lambda t, ctx, flags=flags: f"mapped at {_map(_READ | _WRITE, flags | _ANONYMOUS):#x}"
    )

    def _share_library(t: Targets, ctx: Context, flags: int = flags) -> str:
        with open(os.__file__, "rb") as file:
            return f"mapped at {_map(_READ, flags, file.fileno()):#x}"

    act(f"share memory: a library, {name}")(_share_library)


@act("share memory: mmap.mmap")
def share_with_python(t: Targets, ctx: Context) -> str:
    with mmap.mmap(-1, _PAGE) as shared:
        return f"shared: {shared}"


@act("share memory: multiprocessing")
def share_with_multiprocessing(t: Targets, ctx: Context) -> str:
    from multiprocessing.shared_memory import SharedMemory

    return f"shared: {SharedMemory(create=True, size=_PAGE)}"


@act("share memory: grow an old mapping into a shared one (mremap)")
def remap(t: Targets, ctx: Context) -> str:
    place = _map(_READ | _WRITE, _PRIVATE | _ANONYMOUS)
    # an old length of 0 makes a second view of a shared mapping; of a private one it must not
    return f"a second view at {system_call(25, place, 0, _PAGE, 1):#x}"


@act("control: private memory")
def private(t: Targets, ctx: Context) -> str:
    return f"mapped at {_map(_READ | _WRITE, _PRIVATE | _ANONYMOUS):#x}"


class _Found(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("file", "base", "symbol", "address")]


def _code_of(symbol: object) -> bytes | None:
    """Where the library with this symbol keeps its code: read from its ELF header in memory (elf(5))."""
    found = _Found()
    if not _libc.dladdr(ctypes.cast(symbol, ctypes.c_void_p), ctypes.byref(found)):
        return None
    base = found.base or 0
    header = ctypes.string_at(base, 64)
    table, size, count = struct.unpack_from("<Q", header, 32)[0], *struct.unpack_from("<HH", header, 54)
    for index in range(count):
        kind, flags, _, address, _, _, length, _ = struct.unpack(
            "<IIQQQQQQ", ctypes.string_at(base + table + index * size, 56)
        )
        if kind == 1 and flags & 1:
            return _Code(ctypes.string_at(base + address, length), base + address)
    return None


class _Code(bytes):
    def __new__(cls, code: bytes, place: int) -> "_Code":
        made = super().__new__(cls, code)
        made.place = place
        return made


def _entries_of_modules() -> Iterator[object]:
    for name, module in list(sys.modules.items()):
        if (file := getattr(module, "__file__", None)) and file.endswith(".so"):
            yield getattr(ctypes.PyDLL(file), f"PyInit_{name.rpartition('.')[2]}", _libc.getpid)


@act("enter the kernel as 32-bit code (int 0x80)")
def enter_32_bit(t: Targets, ctx: Context) -> str:
    """No new code can be made, so it looks for the two bytes, with a return after them, in what is loaded."""
    for symbol in (ctypes.pythonapi.Py_IncRef, _libc.getpid, *_entries_of_modules()):
        code = _code_of(symbol)
        at = code.find(b"\xcd\x80\xc3") if code else -1
        if at >= 0:
            ctypes.CFUNCTYPE(ctypes.c_long)(code.place + at)()
            return "the kernel answered"
    raise AbsentError("no such bytes in the code that is loaded, and no way to make some")


@act("read memory that is not its own")
def wild_read(t: Targets, ctx: Context) -> str:
    libc_error = system_call  # by the kernel, which answers where a plain read would crash
    near, far = os.pipe()
    try:
        libc_error(1, far, -(1 << 40), 8)
    except OSError as error:
        if error.errno == errno.EFAULT:
            raise
    finally:
        os.close(near)
        os.close(far)
    return "the kernel's memory was read"
