"""The list of attempts, and the report of one: it is made whatever the attempt raises.

An attempt returns text, the evidence that it worked; or ``Done``, that it did what it may (a flood that was
endured); or it raises. What it raises is reported by errno, by code or by class, and judged by the host.
"""

import ctypes
import errno
import inspect
from collections.abc import Callable
from typing import Any

from imperal_sdk import Context

Targets = dict[str, Any]
Act = Callable[[Targets, Context], Any]
ACTS: dict[str, Act] = {}
_EVIDENCE_CHARACTERS_MAX = 1_000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class AbsentError(Exception):
    """It looked, and what it looked for is not there."""


class Done(str):
    """Nothing was gained; the host must now be well."""


def act(name: str) -> Callable[[Act], Act]:
    def register(function: Act) -> Act:
        assert name not in ACTS, name
        ACTS[name] = function
        return function

    return register


async def report(name: str, targets: Targets, ctx: Context) -> dict[str, Any]:
    try:
        found = ACTS[name](targets, ctx)
        if inspect.isawaitable(found):
            found = await found
    except OSError as error:
        return _refused(error, errno.errorcode.get(error.errno or 0, "no errno"))
    except BaseException as error:
        return _refused(error, str(getattr(error, "code", "")) or type(error).__name__)
    outcome = "done" if isinstance(found, Done) else "worked"
    return {"outcome": outcome, "token": outcome, "says": str(found)[:_EVIDENCE_CHARACTERS_MAX]}


def _refused(error: BaseException, token: str) -> dict[str, Any]:
    says = f"{type(error).__name__}: {error}".encode(errors="replace").decode()
    return {"outcome": "refused", "token": token, "says": says[:_EVIDENCE_CHARACTERS_MAX]}


def system_call(number: int, *arguments: int | bytes | None) -> int:
    """Any system call, with at most six arguments. Raises ``OSError``."""
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    ctypes.set_errno(0)
    result: int = _libc.syscall(ctypes.c_long(number), *wide, *([ctypes.c_long(0)] * (6 - len(wide))))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, errno.errorcode.get(code, ""))
    return result
