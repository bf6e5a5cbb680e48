"""Single system calls: one row each, by what they are for."""

from imperal_host.prove.row import KILLED_BY_SECCOMP, ByTier, Expected, Kind, Row

_KILLED: Expected = {KILLED_BY_SECCOMP: "seccomp"}
_REFUSED: Expected = {"EPERM": "seccomp"}
_UNKNOWN: Expected = {"ENOSYS": "seccomp"}


def _calls(kind: Kind, purpose: str, expected: Expected, names: str) -> tuple[Row, ...]:
    """``names`` are separated by commas."""
    each = [name.strip() for name in names.split(",")]
    both: ByTier = {"strict": expected, "no-namespaces": expected}
    return tuple(Row(name, kind, f"Makes the system call {name}, {purpose}.", both) for name in each)


_WORKS: Expected = {"worked": "none needed"}
_CONTROLS: dict[Kind, str] = {"namespaces": "uname", "privileges": "getuid", "kernel": "sched_yield"}
_NAMESPACES = "user, mount, pid, net, ipc, uts, cgroup"
ROWS: tuple[Row, ...] = (
    *_calls(
        "processes",
        "to look into another process or change it",
        _KILLED,
        "ptrace, ptrace itself, process_vm_readv, process_vm_writev, kcmp, pidfd_getfd",
    ),
    *_calls(
        "processes",
        "to reach another process",
        _REFUSED,
        "kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_open, pidfd_open itself, pidfd_send_signal, "
        "process_madvise, process_mrelease, getpgid of the host, getsid of the host, get_robust_list of the host, "
        "getpriority of the host, prlimit64 of the host, move_pages of the host, migrate_pages, "
        "sched_getaffinity of the host",
    ),
    *_calls(
        "processes",
        "to become more than one process, or another program",
        _REFUSED,
        "fork, vfork, clone as a process, clone as a sibling, clone with a pidfd, execve, execveat, "
        "execveat of a descriptor, setpgid, setsid, wait4, waitid",
    ),
    *_calls("processes", "which libraries probe for and go on without", _UNKNOWN, "clone3"),
    *_calls(
        "processes",
        "to get more of the processor than its part",
        _REFUSED,
        "setpriority, ioprio_set, sched_setaffinity, sched_setscheduler, sched_setparam, sched_setattr, "
        "prlimit64 with a new limit, setrlimit",
    ),
    *_calls(
        "memory",
        "to share memory or messages with another process",
        _REFUSED,
        "shmget, shmat, shmctl, semget, semop, semtimedop, msgget, msgsnd, msgrcv, mq_open, vmsplice, splice, tee",
    ),
    *_calls(
        "memory",
        "to be heard through memory of files that all isolates read",
        _REFUSED,
        "mincore, madvise: share equal pages, madvise: push a page out, madvise: make a page cold",
    ),
    *_calls(
        "memory",
        "to be woken by another tenant's isolate",
        {"EAGAIN": "seccomp"},
        "futex: sleep where others can wake",
    ),
    *_calls("memory", "which libraries probe for and go on without", _UNKNOWN, "futex_waitv"),
    *_calls(
        "descriptors",
        "to send more than bytes",
        _REFUSED,
        "sendmsg, send out of band, receive out of band, recvmsg out of band",
    ),
    *_calls(
        "memory",
        "to handle memory as attacks on kernels do",
        _KILLED,
        "memfd_create, memfd_secret, userfaultfd",
    ),
    *_calls(
        "memory",
        "to pin, move or protect memory past its limits",
        _REFUSED,
        "pkey_alloc, pkey_mprotect, remap_file_pages, mlock, mlockall, mlock2, mbind, set_mempolicy, map_shadow_stack",
    ),
    *_calls(
        "namespaces",
        "to get a namespace in which it is root",
        _KILLED,
        f"{', '.join(f'unshare: {name}' for name in _NAMESPACES.split(', '))}, unshare: time, setns",
    ),
    *_calls(
        "namespaces",
        "to get a namespace in which it is root",
        _REFUSED,
        ", ".join(f"clone into a namespace: {name}" for name in _NAMESPACES.split(", ")),
    ),
    *_calls(
        "namespaces",
        "to rebuild its view of the file system",
        _KILLED,
        "mount, umount2, pivot_root, chroot, fsopen, fsconfig, fsmount, fspick, open_tree, "
        "move_mount, mount_setattr, swapon, quotactl, open_by_handle_at",
    ),
    *_calls(
        "namespaces",
        "to see or change what file systems there are",
        _REFUSED,
        "open_tree_attr, statmount, listmount, swapoff, sysfs, name_to_handle_at, mknod, mknodat, mkfifo, "
        "fanotify_init, inotify_init, inotify_init1",
    ),
    Row(
        "mount again, writable",
        "namespaces",
        "Makes the system call mount, to make its read-only root writable.",
        {"strict": _KILLED, "no-namespaces": _KILLED},
    ),
    *_calls("namespaces", "which libraries probe for and go on without", _UNKNOWN, "openat2"),
    *_calls(
        "privileges",
        "to become another user",
        _REFUSED,
        "setuid, setgid, setreuid, setregid, setresuid, setresgid, setgroups, setfsuid, setfsgid",
    ),
    *_calls(
        "privileges",
        "to get privileges back or loosen its own sandbox",
        _REFUSED,
        "capset, arch_prctl, landlock_create_ruleset, landlock_restrict_self, prctl: be dumped, "
        "prctl: allow new privileges, prctl: a second filter, prctl: other memory, prctl: ambient capabilities, "
        "prctl: keep capabilities, prctl: secure bits, prctl: capability bounds, prctl: be traced, "
        "prctl: outlive the parent, prctl: adopt orphans, prctl: runnable memory again, "
        "prctl: dispatch of system calls, prctl: slack of timers, prctl: cores of its own, prctl: speculation, "
        "prctl: endless writing, prctl: the machine's errors, prctl: signals of unaligned reads",
    ),
    *_calls("privileges", "to put another filter before the first", _KILLED, "seccomp"),
    *_calls(
        "kernel",
        "which only programs that run a machine need",
        _KILLED,
        "add_key, request_key, keyctl, bpf, perf_event_open, io_uring_setup, io_uring_enter, io_uring_register, "
        "io_setup, "
        "kexec_load, kexec_file_load, init_module, delete_module, reboot, sethostname, syslog, acct, iopl, ioperm, "
        "modify_ldt, personality",
    ),
    *_calls(
        "kernel",
        "which no extension needs",
        _REFUSED,
        "finit_module, setdomainname, settimeofday, clock_settime, adjtimex, clock_adjtime, vhangup, sync, syncfs, "
        "timer_create, timerfd_create, signalfd4, lookup_dcookie, uselib, cachestat, lsm_get_self_attr, "
        "rseq_slice_yield, "
        "fadvise64, readahead, a call the kernel does not have",
    ),
    *_calls(
        "kernel",
        "by the numbers of another architecture",
        _KILLED,
        "x32: read, x32: ptrace, x32: execve",
    ),
    *(
        Row(
            f"control: {name}",
            kind,
            f"Makes the system call {name}, which it may.",
            {"strict": _WORKS, "no-namespaces": _WORKS},
            control=True,
        )
        for kind, name in _CONTROLS.items()
    ),
)
