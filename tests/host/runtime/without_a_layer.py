"""Take something away from this process, then try to launch; print the outcome as one JSON line.

Arguments: ``user-namespaces``, ``landlock`` or ``nothing``; the tier; ``own`` if the extension is the operator's own.
"""

import asyncio
import ctypes
import errno
import json
import os
import struct
import sys
from dataclasses import replace
from pathlib import Path

from imperal_host import log
from imperal_host.app import make_pool
from imperal_host.catalog.discovery import from_folder
from imperal_host.clock import SystemClock
from imperal_host.errors import ExtensionLoadError, SandboxError
from imperal_host.settings import Settings
from imperal_sdk.worker.confine import linux, namespaces, seccomp

HELLO = Path(__file__).parents[3] / "examples" / "hello"


def forbid_user_namespaces() -> None:
    """In a user namespace of our own, the limit of namespaces below it is ours to set."""
    namespaces.enter_user_namespace(None)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")


def take_landlock_away() -> None:
    """A filter that answers landlock_create_ruleset as a kernel without Landlock does."""
    program = [
        (0x20, 0, 0, 0),
        (0x15, 0, 1, linux.LANDLOCK_CREATE_RULESET),
        (0x06, 0, 0, 0x0005_0000 | errno.ENOSYS),
        (0x06, 0, 0, 0x7FFF_0000),
    ]
    held = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    header = bytearray(seccomp._Program(len(program), ctypes.addressof(held)))
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.syscall(linux.SECCOMP[os.uname().machine], 1, 0, (ctypes.c_char * len(header)).from_buffer(header))


def take_nothing() -> None:
    pass


async def launch(tier: str, *, is_own: bool) -> dict[str, str]:
    pool = make_pool(Settings.model_validate({"sandbox": tier}), SystemClock())
    package = replace(from_folder(HELLO), is_operators_own=is_own)
    try:
        return {"loaded": (await pool.inspect(package)).app_id}
    except (SandboxError, ExtensionLoadError) as error:
        return {"refused": str(error)}
    finally:
        await pool.aclose()


if __name__ == "__main__":
    log.configure("warning")
    lacks = {"user-namespaces": forbid_user_namespaces, "landlock": take_landlock_away, "nothing": take_nothing}
    lacks[sys.argv[1]]()
    print(json.dumps(asyncio.run(launch(sys.argv[2], is_own=sys.argv[3] == "own"))))
