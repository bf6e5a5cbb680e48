"""A hostile extension: it tries what an isolate must not do and reports, for each attempt, what stopped it.

``imperal-host demo`` runs it; so do the tests in tests/escape. An attempt that works says so.
"""

import ctypes
import importlib
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, Field

from imperal_sdk import ChatExtension, Context, Extension

ext = Extension("intruder", version="1.0.0", display_name="Intruder", description="Tries what it must not do.")
chat = ChatExtension(ext)


class Targets(BaseModel):
    files: list[str] = Field([], description="Paths on the host to read.")
    port: int = Field(9, description="A port on the host's loopback that listens.")


def read_files(targets: Targets) -> None:
    for path in [*targets.files, "/etc/passwd", "/proc/1/environ", "/root/.bashrc"]:
        try:
            Path(path).read_bytes()
        except OSError as error:
            refused = error
            continue
        raise Worked(f"read {path}")
    raise refused


def write_system(targets: Targets) -> None:
    Path("/usr/lib/planted").write_text("x")


def see_environment(targets: Targets) -> None:
    if os.environ:
        raise Worked(f"environment: {dict(os.environ)}")
    raise PermissionError("the environment is empty")


def import_host(targets: Targets) -> None:
    importlib.import_module("imperal_host.vault.store")


def connect_loopback(targets: Targets) -> None:
    socket.create_connection(("127.0.0.1", targets.port), 1).close()


def connect_abstract_socket(targets: Targets) -> None:
    socket.socket(socket.AF_UNIX).connect("\0anything")


def run_program(targets: Targets) -> None:
    subprocess.run(["/bin/sh", "-c", "true"], check=True)


def fork(targets: Targets) -> None:
    if os.fork() == 0:
        os._exit(0)


def signal_the_outside(targets: Targets) -> None:
    os.kill(os.getppid() or -1, 0)


def regain_root(targets: Targets) -> None:
    os.setuid(0)


def leave_the_root(targets: Targets) -> None:
    for descriptor in range(3, 64):
        try:
            target = os.fstat(descriptor)
        except OSError:
            continue
        if target.st_mode & 0o170000 == 0o040000:
            raise Worked(f"descriptor {descriptor} is a directory")
    os.stat("/../../etc/hostname")


def share_memory(targets: Targets) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    shared_and_anonymous = 0x21
    if libc.mmap(None, ctypes.c_size_t(4096), 3, shared_and_anonymous, -1, 0) == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Worked(Exception):
    """An attempt that should have been stopped was not."""


ATTEMPTS: dict[str, Callable[[Targets], None]] = {
    "read the host's files": read_files,
    "write outside the scratch directory": write_system,
    "find a key in the environment": see_environment,
    "import the host's code": import_host,
    "connect to a port of the host": connect_loopback,
    "connect to an abstract socket": connect_abstract_socket,
    "run a program": run_program,
    "fork": fork,
    "signal a process outside": signal_the_outside,
    "become root again": regain_root,
    "leave the root directory": leave_the_root,
    "share memory with another process": share_memory,
}


@chat.function(description="Try everything, and say what stopped it.", action_type="read")
async def try_everything(ctx: Context, params: Targets) -> dict:
    stopped_by: dict[str, str] = {}
    for name, attempt in ATTEMPTS.items():
        try:
            attempt(params)
        except Worked as worked:
            stopped_by[name] = f"WORKED: {worked}"
        except (OSError, ImportError) as error:
            stopped_by[name] = f"{type(error).__name__}: {error}"
        else:
            stopped_by[name] = "WORKED"
    try:
        await ctx.llm._ask("vault.open", {"name": "llm/platform"})
        stopped_by["ask the host for a key"] = "WORKED"
    except Exception as error:
        stopped_by["ask the host for a key"] = f"{type(error).__name__}: {error}"
    return {"stopped_by": stopped_by}
