"""Which limit of the isolate an exception speaks of, with what was used: for the extension's author."""

import errno
import os
import resource
import threading

_MIB = 1 << 20


def reached(error: BaseException) -> str:
    """A clause that ends in ``": "``, or nothing if the exception speaks of no limit."""
    match error:
        case MemoryError():
            return _memory()
        case RuntimeError() if "can't start new thread" in str(error):
            allowed = resource.getrlimit(resource.RLIMIT_NPROC)[0]
            return f"the limit on threads is reached ({threading.active_count()} run, {allowed} may): "
        case OSError():
            return _of_the_system(error)
        case _:
            return ""


def _of_the_system(error: OSError) -> str:
    match error.errno:
        case errno.ENOMEM:
            return _memory()
        case errno.EMFILE:
            return f"the limit of {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} open files is reached: "
        case errno.EFBIG:
            return f"the limit of {resource.getrlimit(resource.RLIMIT_FSIZE)[0]:,} bytes a file is reached: "
        case errno.ENOSPC:
            return _disk()
        case _:
            return ""


def _memory() -> str:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    allowed = resource.getrlimit(resource.RLIMIT_AS)[0] // _MIB
    return f"the limit of {allowed:,} MiB of memory is reached (at most {used:,} MiB were in use): "


def _disk() -> str:
    space = os.statvfs(".")
    total, free = space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize
    files = space.f_files - space.f_ffree
    return (
        f"the scratch directory is full ({(total - free) / _MIB:.1f} of {total / _MIB:.1f} MiB, "
        f"{files:,} of {space.f_files:,} files): "
    )
