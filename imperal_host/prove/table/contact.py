"""Other processes, the network, descriptors and memory, as a program would go about it."""

from imperal_host.prove.row import (
    CRASHED,
    DEADLINE,
    ENDED,
    KILLED_BY_SECCOMP,
    ByTier,
    Expected,
    Kind,
    Row,
)

_REFUSED: Expected = {"EPERM": "seccomp"}
_UNKNOWN: Expected = {"ENOSYS": "seccomp"}
_KILLED: Expected = {KILLED_BY_SECCOMP: "seccomp"}
_WORKS: Expected = {"worked": "none needed"}
_NOT_RUNNABLE: Expected = {"EACCES": "capabilities"}  # memory-deny-write-execute, set with no_new_privs
_FAMILIES = (
    "AF_UNIX; AF_INET; AF_INET, UDP; AF_INET, raw; AF_INET, ping; AF_INET, MPTCP; AF_AX25; AF_X25; AF_INET6; AF_KEY; "
    "AF_NETLINK; AF_PACKET; AF_RDS; AF_CAN; AF_TIPC; AF_BLUETOOTH; AF_ALG; AF_NFC; AF_VSOCK; AF_KCM; AF_QIPCRTR; "
    "AF_SMC; AF_XDP"
)


def _rows(kind: Kind, expected: Expected, sentences: dict[str, str], loose: Expected | None = None) -> tuple[Row, ...]:
    tiers: ByTier = {"strict": expected, "no-namespaces": expected if loose is None else loose}
    return tuple(Row(name, kind, tries, tiers) for name, tries in sentences.items())


def _controls(kind: Kind, sentences: dict[str, str]) -> tuple[Row, ...]:
    both: ByTier = {"strict": _WORKS, "no-namespaces": _WORKS}
    return tuple(Row(name, kind, tries, both, control=True) for name, tries in sentences.items())


ROWS: tuple[Row, ...] = (
    *_rows(
        "processes",
        _REFUSED,
        {
            "fork with os.fork": "Makes a second process.",
            "run a program with subprocess": "Runs a shell.",
            "become the dynamic loader with execve": "Becomes another program.",
            "read the processor time of the host": "Reads the clock that the kernel has for every process.",
            "signal the host": "Sends the host's process a signal.",
            "signal every process": "Sends every process it may a signal.",
            "signal its parent": "Sends its parent a signal.",
            "signal its process group": "Sends its group a signal.",
            "be told when a timer of the kernel runs out": "Makes a timer that can signal a thread of others.",
        },
    ),
    *_rows(
        "processes",
        _REFUSED | {"ENOENT": "root"},
        {"run a program with posix_spawn": "Runs a program without a shell."},
        _REFUSED,
    ),
    Row(
        "learn who its parent is",
        "processes",
        "Asks for its parent's number.",
        {"strict": {"AbsentError": "namespaces"}},
    ),
    *_rows(
        "processes",
        {DEADLINE: "limits"},
        {"ignore every signal and never answer": "Ignores all signals that can be ignored, and runs on."},
    ),
    Row(
        "leave threads running after the answer",
        "processes",
        "Goes on computing when its call is over.",
        {"strict": {"done": "limits"}, "no-namespaces": {"done": "limits"}},
        wears_out=True,
    ),
    *_controls("processes", {"control: start a thread": "Starts a thread, which it may."}),
    *_rows(
        "sockets",
        _REFUSED,
        {f"open a socket: {name}": f"Opens a socket of {name}." for name in _FAMILIES.split("; ")}
        | {
            f"open a pair of sockets: {name}": f"Opens a pair of sockets of {name}."
            for name in ("AF_INET", "AF_NETLINK", "AF_TIPC", "AF_BLUETOOTH")
        }
        | {
            "connect to a port of the host": "Connects to a port on loopback that does listen.",
            "send with TCP Fast Open to a port of the host": "Connects by sending, which Landlock does not see.",
            "listen on a port": "Waits for connections.",
            "connect to an abstract socket of the host": "Connects to a socket that has a name and no file.",
            "connect to a socket file of the host": "Connects to a socket that has a file.",
            "connect one end of a pair to the host": "Connects a socket that it may have to another place.",
            "bind one end of a pair to a name": "Gives a socket that it may have a name to be found by.",
            "change an option of the channel": "Asks for the host's credentials with every message.",
        },
    ),
    *_rows(
        "sockets",
        _REFUSED | {"ECONNREFUSED": "namespaces"},
        {"send to an abstract socket of the host from a pair": "Sends to a named socket from a pair of its own."},
        _REFUSED,
    ),
    *_rows(
        "sockets",
        _REFUSED | {"ENOENT": "root"},
        {"send to a socket file of the host from a pair": "Sends to a socket file from a pair of its own."},
        _REFUSED,
    ),
    *_rows(
        "sockets",
        _REFUSED | {"ESRCH": "namespaces"},
        {"learn the host's process from the channel": "Asks who is at the other end of its channel."},
        _REFUSED,
    ),
    *_controls("sockets", {"control: a pair of sockets of its own": "Talks to itself, which it may."}),
    *_rows(
        "descriptors",
        {"AbsentError": "namespaces"},
        {
            "find a descriptor it should not have": "Tries every number up to 1023 for an open file.",
            "find a socket with a name among its descriptors": "Looks for a socket that leads somewhere by name.",
            "use the standard streams for more than text": "Looks for a terminal or a file behind its output.",
        },
    ),
    *_rows(
        "descriptors",
        {"EAGAIN": "channel", "AbsentError": "channel"},
        {"receive a descriptor over the channel": "Looks for a descriptor in the host's messages."},
    ),
    *_rows(
        "descriptors",
        {"ENOENT": "root"},
        {
            "open a descriptor anew by its name in /dev/fd": "Opens its output again with more rights.",
            "open a terminal": "Opens the terminal of its session.",
            "climb out by a directory's descriptor": "Opens the secret file from a directory that it holds.",
        },
        {"ENOENT": "Landlock", "EACCES": "Landlock", "ENXIO": "Landlock"},
    ),
    *_rows(
        "descriptors",
        _REFUSED,
        {"put another descriptor in the channel's place": "Replaces a descriptor by another."}
        | {
            f"fcntl: {name}": f"Tries to {name}."
            for name in (
                "take a lease on a library",
                "be notified of a directory's changes",
                "own the signals of the channel",
                "lock a part of a library",
                "grow a pipe",
                "seal a file",
                "write a hint for the disk",
            )
        }
        | {
            f"ioctl: {name}": f"Tries to {name.partition(' (')[0]}."
            for name in (
                "type into a terminal (TIOCSTI)",
                "take a terminal (TIOCSCTTY)",
                "paste into a console (TIOCLINUX)",
                "list the network's interfaces (SIOCGIFCONF)",
                "ask for signals (FIOASYNC)",
                "clone a file's blocks (FICLONE)",
                "make a file unchangeable (FS_IOC_SETFLAGS)",
                "freeze a file system (FIFREEZE)",
            )
        },
    ),
    *_rows("descriptors", _UNKNOWN, {"close every descriptor at once": "Makes the system call close_range."}),
    *_rows("descriptors", {ENDED: "channel"}, {"close the channel": "Closes its only way to the host."}),
    *_controls("descriptors", {"control: copy a descriptor": "Copies a descriptor, which it may."}),
    *_rows(
        "memory",
        _NOT_RUNNABLE,
        {
            "map memory that can be written and run": "Asks for memory for code of its own.",
            "make written memory runnable": "Writes code, then asks to run it.",
            "make memory runnable that never was written": "Asks to run what was only data.",
            "make a library's code writable": "Asks to change code that runs.",
        },
    ),
    *_rows(
        "memory",
        {"EPERM": "root"},
        {"map a file of its own as code": "Writes code to a file and asks to run it from there."},
        {"EACCES": "Landlock"},
    ),
    *_rows("memory", {"EPERM": "capabilities"}, {"map the first page of memory": "Asks for address 0."}),
    *_rows(
        "memory",
        _REFUSED,
        {
            f"share memory: {what}, {flag}": f"Asks for memory that others could see: {what}, {flag}."
            for what in ("anonymous", "a library")
            for flag in ("MAP_SHARED", "MAP_SHARED_VALIDATE")
        }
        | {"share memory: mmap.mmap": "Asks for shared memory as Python does."},
    ),
    *_rows(
        "memory",
        _REFUSED | {"ENOENT": "root", "ENOSYS": "root"},
        {"share memory: multiprocessing": "Asks for shared memory with a name."},
        {"EACCES": "Landlock"},
    ),
    *_rows(
        "memory",
        {"EINVAL": "capabilities"},
        {"share memory: grow an old mapping into a shared one (mremap)": "Asks for a second view of its memory."},
    ),
    *_rows(
        "memory",
        {"EFAULT": "capabilities"},
        {"read memory that is not its own": "Asks the kernel to read an address of the kernel's."},
    ),
    *_rows(
        "kernel",
        _KILLED | {CRASHED: "capabilities", "AbsentError": "capabilities"},
        {"enter the kernel as 32-bit code (int 0x80)": "Looks for the old entry in code that is loaded, and uses it."},
    ),
    *_controls("memory", {"control: private memory": "Asks for memory of its own, which it may."}),
)
