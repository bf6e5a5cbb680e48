"""Files, the environment, and what lies in /proc."""

import ctypes
import gc
import os
import sys
from pathlib import Path

from registry import AbsentError, Targets, act, system_call

import imperal_sdk
from imperal_sdk import Context

_UP = "../" * 40
_OWN = str(Path(__file__).parent / "main.py")
_EXPECTED_AT_THE_ROOT = {"dev", "ext", "site", "lib", "lib64", "usr", "scratch"}
_libc = ctypes.CDLL(None, use_errno=True)


def _read(path: str) -> str:
    with open(path, "rb") as file:
        return f"read {path}: {file.read(60)!r}"


def _overwrite(path: str) -> str:
    with open(path, "r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(first)
    return f"wrote to {path}"


def _reading(name: str, path: str) -> None:
    """``path`` is a path, or the name of a target that is one."""
    act(name)(lambda t, ctx: _read(str(t.get(path, path))))


for name, path in {
    "read the host's database": "database",
    "read the key that opens the vault": "kek",
    "read a file of the host": "canary_file",
    "read the host's code": "host_code",
    "read another extension's code": "other_code",
    "read /etc/passwd": "/etc/passwd",
    "read /etc/shadow": "/etc/shadow",
    "read /dev/mem": "/dev/mem",
    "read /dev/kmsg": "/dev/kmsg",
    "read a host's disk": "disk",
    "read /proc/self/environ": "/proc/self/environ",
    "read /proc/1/environ": "/proc/1/environ",
    "read /proc/self/maps": "/proc/self/maps",
    "read /proc/self/mem": "/proc/self/mem",
    "read /proc/mounts": "/proc/mounts",
    "read /proc/kcore": "/proc/kcore",
    "read the host's /proc/PID/environ": "host_environ",
    "read the host's /proc/PID/mem": "host_mem",
    "read a file of the host through /proc/1/root": "through_proc",
    "read /sys/kernel/notes": "/sys/kernel/notes",
    "control: read its own code": _OWN,
    "control: read a library": os.__file__,
    "control: read /dev/zero": "/dev/zero",
}.items():
    _reading(name, path)


@act("read a file of the host by ..")
def dots(t: Targets, ctx: Context) -> str:
    return _read(f"{_UP}{t['canary_file']}".replace("//", "/"))


@act("read a file of the host by .. below its own folder")
def dots_below(t: Targets, ctx: Context) -> str:
    return _read(f"/ext/{_UP}{t['canary_file']}")


@act("see that a file of the host exists")
def exists(t: Targets, ctx: Context) -> str:
    return f"it is there: {os.stat(str(t['canary_file']))}"


@act("list the root directory")
def list_root(t: Targets, ctx: Context) -> str:
    found = set(os.listdir("/"))
    if found <= _EXPECTED_AT_THE_ROOT:
        raise AbsentError(f"only {sorted(found)}")
    return f"found {sorted(found)}"


@act("list the host's data directory")
def list_data(t: Targets, ctx: Context) -> str:
    return f"found {os.listdir(os.path.dirname(str(t['database'])))}"


@act("find its own descriptors in /dev/fd")
def dev_fd(t: Targets, ctx: Context) -> str:
    return f"found {os.listdir('/dev/fd')}"


@act("make a symbolic link to a file of the host")
def symlink(t: Targets, ctx: Context) -> str:
    os.symlink(str(t["canary_file"]), "link")
    return _read("link")


@act("make a hard link to a library")
def hard_link(t: Targets, ctx: Context) -> str:
    os.link(os.__file__, "link")
    return "linked"


for name, path in {
    "change its own code": _OWN,
    "change the SDK": str(imperal_sdk.__file__),
    "change the interpreter's library": os.__file__,
    "change a file of the host": "canary_file",
    "write to /proc/sysrq-trigger": "/proc/sysrq-trigger",
    "write to /proc/sys/kernel/core_pattern": "/proc/sys/kernel/core_pattern",
}.items():
    act(name)(lambda t, ctx, path=path: _overwrite(str(t.get(path, path))))


@act("plant a file in the root directory")
def plant(t: Targets, ctx: Context) -> str:
    return f"wrote {Path('/planted').write_text('x')}"


@act("plant a file beside the libraries")
def plant_library(t: Targets, ctx: Context) -> str:
    return f"wrote {Path(os.path.dirname(os.__file__), 'planted.py').write_text('x')}"


@act("plant a file in /dev/shm")
def plant_shm(t: Targets, ctx: Context) -> str:
    return f"wrote {Path('/dev/shm/planted').write_text('x')}"


@act("plant a file in /tmp")
def plant_tmp(t: Targets, ctx: Context) -> str:
    return f"wrote {Path('/tmp/planted').write_text('x')}"


@act("make a directory in the root directory")
def make_directory(t: Targets, ctx: Context) -> str:
    os.mkdir("/planted")
    return "made"


@act("cut its own code short")
def cut(t: Targets, ctx: Context) -> str:
    os.truncate(_OWN, 0)
    return "cut"


@act("delete its own code")
def delete(t: Targets, ctx: Context) -> str:
    os.unlink(_OWN)
    return "deleted"


@act("rename its own code")
def rename(t: Targets, ctx: Context) -> str:
    os.rename(_OWN, f"{_OWN}.gone")
    return "renamed"


@act("change the times of its own code")
def times(t: Targets, ctx: Context) -> str:
    os.utime(_OWN, (1, 1))
    return "changed: the next one reads a message in them"


@act("change the times of a device that the machine shares")
def device_times(t: Targets, ctx: Context) -> str:
    os.utime("/dev/null")
    return "changed: another tenant reads a message in them"


@act("change the mode of its own code")
def mode(t: Targets, ctx: Context) -> str:
    os.chmod(_OWN, 0o777)
    return "changed"


@act("give its own code away")
def owner(t: Targets, ctx: Context) -> str:
    os.chown(_OWN, 0, 0)
    return "changed"


@act("put an attribute on its own code")
def attribute(t: Targets, ctx: Context) -> str:
    os.setxattr(_OWN, "user.message", b"x")
    return "put"


@act("run a file from the scratch directory as a library")
def library_in_scratch(t: Targets, ctx: Context) -> str:
    library = next(Path(os.__file__).parent.glob("lib-dynload/*.so"))
    Path("copy.so").write_bytes(library.read_bytes())
    ctypes.CDLL("./copy.so")
    return "code from the scratch directory runs"


@act("control: write and read in the scratch directory")
def scratch(t: Targets, ctx: Context) -> str:
    Path("mine").write_text("kept")
    return f"read {Path('mine').read_text()}"


@act("find a secret of the host in os.environ")
def environment(t: Targets, ctx: Context) -> str:
    if not os.environ:
        raise AbsentError("the environment is empty")
    return f"found {dict(os.environ)}"


@act("control: find where its own code lies")
def own_place(t: Targets, ctx: Context) -> str:
    return f"in {__file__}"


@act("find a secret of the host with getenv")
def libc_environment(t: Targets, ctx: Context) -> str:
    _libc.getenv.restype = ctypes.c_char_p
    for variable in (str(t["variable"]), "PATH", "HOME"):
        if (value := _libc.getenv(variable.encode())) is not None:
            return f"{variable} is {value!r}"
    raise AbsentError("no variable is set")


@act("find the host's data directory in its arguments")
def arguments(t: Targets, ctx: Context) -> str:
    place = os.path.dirname(str(t["database"]))
    words = [*sys.argv, *sys.orig_argv, *sys.path, sys.prefix, sys.executable]
    if found := [word for word in words if place in word]:
        return f"found {found}"
    raise AbsentError("it is in none of them")


@act("find a key among all Python objects")
def objects(t: Targets, ctx: Context) -> str:
    # the two halves never stand together in this process, unless the key does
    wanted = str(t["key_prefix"])
    own = (str(t["key_prefix"]), str(t))
    strings = [value for holder in gc.get_objects() for value in gc.get_referents(holder) if isinstance(value, str)]
    if found := [text for text in strings if len(text) > len(wanted) and text.startswith(wanted) and text not in own]:
        return f"found {found[:3]}"
    raise AbsentError(f"none of {len(strings):,} strings")


@act("import the host's code")
def import_host(t: Targets, ctx: Context) -> str:
    import imperal_host  # noqa: F401

    return "imported"


@act("ask which files another one locks")
def lock(t: Targets, ctx: Context) -> str:
    import fcntl

    with open(os.__file__, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    return "locked a file that all isolates see"


@act("watch a directory that all isolates see")
def watch(t: Targets, ctx: Context) -> str:
    return f"a watch: {system_call(294, 0)}"
