"""Files, the environment and /proc."""

from imperal_host.prove.row import ByTier, Expected, Kind, Row

_ABSENT: Expected = {"ENOENT": "root"}
_CLOSED: Expected = {"EACCES": "Landlock"}
_READ_ONLY: Expected = {"EACCES": "Landlock", "EROFS": "root"}
_NO_SUCH_CALL: Expected = {"EPERM": "seccomp"}
_NOTHING: Expected = {"AbsentError": "root"}
_WORKS: Expected = {"worked": "none needed"}


def _unreachable(kind: Kind, sentences: dict[str, str]) -> tuple[Row, ...]:
    """Paths that do not exist in the minimal root; without it, Landlock keeps them shut."""
    expected: ByTier = {"strict": _ABSENT | _CLOSED, "no-namespaces": _ABSENT | _CLOSED}
    return tuple(Row(name, kind, tries, expected) for name, tries in sentences.items())


def _by_tier(kind: Kind, expected: ByTier, sentences: dict[str, str]) -> tuple[Row, ...]:
    return tuple(Row(name, kind, tries, expected) for name, tries in sentences.items())


def _same(kind: Kind, expected: Expected, sentences: dict[str, str]) -> tuple[Row, ...]:
    return _by_tier(kind, {"strict": expected, "no-namespaces": expected}, sentences)


ROWS: tuple[Row, ...] = (
    *_unreachable(
        "files",
        {
            "read the host's database": "Opens the host's database by its absolute path.",
            "read the key that opens the vault": "Opens the file of the key-encryption key.",
            "read a file of the host": "Opens a file with a known secret in it.",
            "read the host's code": "Opens a source file of the host.",
            "read another extension's code": "Opens the main file of another extension.",
            "read /etc/passwd": "Opens the list of users.",
            "read /etc/shadow": "Opens the list of passwords.",
            "read /dev/mem": "Opens the machine's memory.",
            "read /dev/kmsg": "Opens the kernel's log.",
            "read a host's disk": "Opens the device that the host's data lies on.",
            "read a file of the host by ..": "Climbs from its working directory to the secret file.",
            "read a file of the host by .. below its own folder": "Climbs from its own folder to the secret file.",
            "list the host's data directory": "Lists the directory of the host's database.",
            "find its own descriptors in /dev/fd": "Lists its descriptors by way of /dev.",
            "change a file of the host": "Opens the secret file for writing.",
            "plant a file in /dev/shm": "Writes where all processes of a machine may.",
            "read /sys/kernel/notes": "Opens a file of the kernel's.",
        },
    ),
    Row(
        "see that a file of the host exists",
        "files",
        "Asks for the size and owner of the secret file, without opening it.",
        {"strict": _ABSENT},  # Landlock does not hide: without namespaces it may know, and not read
    ),
    Row(
        "change the times of a device that the machine shares",
        "files",
        "Touches /dev/null, to which everybody may write.",
        {"strict": {"EROFS": "root"}, "no-namespaces": _NO_SUCH_CALL},
    ),
    Row(
        "list the root directory",
        "files",
        "Looks for anything in / beside what it was given.",
        {"strict": _CLOSED | _NOTHING, "no-namespaces": _CLOSED},
    ),
    *_same(
        "files",
        _NO_SUCH_CALL,
        {
            "make a symbolic link to a file of the host": "Makes a link to the secret file and reads through it.",
            "make a hard link to a library": "Gives a library file a second name.",
            "change the mode of its own code": "Makes its own code writable for all.",
            "give its own code away": "Changes the owner of its own code.",
            "put an attribute on its own code": "Leaves a message in an extended attribute.",
            "ask which files another one locks": "Locks a library file, which another isolate could notice.",
            "watch a directory that all isolates see": "Asks to be told of changes to shared directories.",
        },
    ),
    *_by_tier(
        "files",
        {"strict": _READ_ONLY, "no-namespaces": _CLOSED | _NO_SUCH_CALL},
        {
            "change its own code": "Opens its own code for writing.",
            "change the SDK": "Opens the SDK for writing.",
            "change the interpreter's library": "Opens the standard library for writing.",
            "plant a file in the root directory": "Makes a file in /.",
            "plant a file beside the libraries": "Makes a module that every later interpreter could import.",
            "make a directory in the root directory": "Makes a directory in /.",
            "cut its own code short": "Truncates its own code.",
            "delete its own code": "Deletes its own code.",
            "rename its own code": "Renames its own code.",
        },
    ),
    Row(
        "plant a file in /tmp",
        "files",
        "Writes where programs of a machine leave their temporary files.",
        {"strict": _ABSENT | _READ_ONLY, "no-namespaces": _CLOSED},
    ),
    Row(
        "change the times of its own code",
        "files",
        "Leaves a message in the time stamps of a file that other isolates see.",
        {"strict": _READ_ONLY, "no-namespaces": _NO_SUCH_CALL | {"EACCES": "capabilities"}},
    ),
    Row(
        "run a file from the scratch directory as a library",
        "files",
        "Copies machine code to its scratch directory and loads it.",
        {"strict": {"OSError": "root", "no errno": "root", "EPERM": "root"}, "no-namespaces": _CLOSED},
    ),
    *_same(
        "environment",
        _NOTHING,
        {
            "find a secret of the host in os.environ": "Looks into Python's environment.",
            "find a secret of the host with getenv": "Looks into the C library's environment.",
            "find the host's data directory in its arguments": "Looks through its command line and import path.",
            "find a key among all Python objects": "Looks through every string in its memory for a key.",
        },
    ),
    *_same(
        "environment",
        {"ModuleNotFoundError": "root"},
        {"import the host's code": "Imports the host, to use what it knows."},
    ),
    *_unreachable(
        "proc",
        {
            "read /proc/self/environ": "Opens the environment it was started with.",
            "read /proc/1/environ": "Opens the environment of the first process.",
            "read /proc/self/maps": "Opens the map of its own memory.",
            "read /proc/self/mem": "Opens its own memory as a file, past the protection of pages.",
            "read /proc/mounts": "Opens the list of mounts.",
            "read /proc/kcore": "Opens the kernel's memory.",
            "read the host's /proc/PID/environ": "Opens the host's environment.",
            "read the host's /proc/PID/mem": "Opens the host's memory.",
            "read a file of the host through /proc/1/root": "Opens the secret file through the first process's root.",
            "write to /proc/sysrq-trigger": "Opens the kernel's emergency switch.",
            "write to /proc/sys/kernel/core_pattern": "Opens the setting that names a program to run as root.",
        },
    ),
    *(
        Row(name, "files", tries, {"strict": _WORKS, "no-namespaces": _WORKS}, control=True)
        for name, tries in {
            "control: read its own code": "Reads its own code, which it may.",
            "control: read a library": "Reads a library, which it may.",
        }.items()
    ),
    Row(
        "control: find where its own code lies",
        "environment",
        "Looks for itself, which it may.",
        {"strict": _WORKS, "no-namespaces": _WORKS},
        control=True,
    ),
    Row(
        "control: read /dev/zero",
        "proc",
        "Reads a file that the kernel makes up, which it may.",
        {"strict": _WORKS, "no-namespaces": _WORKS},
        control=True,
    ),
    Row(
        "control: write and read in the scratch directory",
        "files",
        "Uses its scratch directory, which it may.",
        {"strict": _WORKS},
        control=True,
    ),
)
