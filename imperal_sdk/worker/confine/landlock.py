"""Landlock: file access by allow-list, and no TCP (landlock(7))."""

import ctypes
import errno
import os
import struct

from imperal_sdk.worker.confine import linux

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 16, 32, 128, 256
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_ALL_OF_ABI_1 = (1 << 13) - 1
_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1


def abi() -> int:
    """The kernel's Landlock version, 0 where it has none or it is off."""
    try:
        return linux.syscall(linux.LANDLOCK_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    except OSError:
        return 0


def prepare(read: list[str], listed: list[str], write: list[str], devices: list[str]) -> int:
    """A ruleset, as a descriptor: only these paths can be opened, none executed, and no TCP port bound or
    connected. Of what is below ``listed`` the names can be seen, no more."""
    version = abi()
    if version < 1:
        raise OSError(errno.ENOSYS, "Landlock is not enabled in this kernel")
    handled = _ALL_OF_ABI_1
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        handled |= right if version >= since else 0
    tcp = 3 if version >= 4 else 0
    abstract_sockets_and_signals = 3 if version >= 6 else 0
    attributes = struct.pack("QQQ", handled, tcp, abstract_sockets_and_signals)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = linux.syscall(linux.LANDLOCK_CREATE_RULESET, ctypes.create_string_buffer(attributes, 24), size, 0)
    try:
        for paths, access in (
            (read, _READ),
            (listed, _READ_DIR),
            (write, _WRITE),
            (devices, _READ_FILE | _WRITE_FILE),
        ):
            for path in paths:
                _allow(ruleset, path, access & handled)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def restrict(ruleset: int) -> None:
    """Apply a prepared ruleset to this thread and all it starts. Needs no_new_privs."""
    linux.syscall(linux.LANDLOCK_RESTRICT_SELF, ruleset, 0)


def _allow(ruleset: int, path: str, access: int) -> None:
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):
            access &= _READ_FILE | _WRITE_FILE | _TRUNCATE
        rule = ctypes.create_string_buffer(struct.pack("=Qi", access, beneath), 12)
        linux.syscall(linux.LANDLOCK_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(beneath)
