"""Single system calls, with arguments that would mean something if they were let through (x86-64 numbers)."""

import os

from registry import Targets, act, system_call

_HOST, _PORT = "host_pid", "port"
_NUL = bytes(256)
_SCRATCH = b"/scratch/t\0"
_NEW = {
    "user": 0x1000_0000, "mount": 0x0002_0000, "pid": 0x2000_0000, "net": 0x4000_0000,
    "ipc": 0x0800_0000, "uts": 0x0400_0000, "cgroup": 0x0200_0000, "time": 0x80,
}  # fmt: skip
_SIGCHLD = 17

# name: number, then the arguments; a name of a target stands for its value
CALLS: dict[str, tuple[int | bytes | str | None, ...]] = {
    "control: sched_yield": (24,), "control: getuid": (102,), "control: uname": (63, bytes(1024)),
    # other processes
    "ptrace": (101, 16, _HOST), "ptrace itself": (101, 0), "process_vm_readv": (310, _HOST, _NUL, 1, _NUL, 1),
    "process_vm_writev": (311, _HOST, _NUL, 1, _NUL, 1), "kcmp": (312, _HOST, _HOST, 0), "kill": (62, _HOST, 0),
    "tkill": (200, _HOST, 0), "tgkill": (234, _HOST, _HOST, 0), "rt_sigqueueinfo": (129, _HOST, 0, _NUL),
    "rt_tgsigqueueinfo": (297, _HOST, _HOST, 0, _NUL), "pidfd_open": (434, _HOST, 0), "pidfd_open itself": (434, 1, 0),
    "pidfd_send_signal": (424, 1, 0, None, 0), "pidfd_getfd": (438, 1, 0, 0),
    "process_madvise": (440, 1, _NUL, 1, 4), "process_mrelease": (448, 1, 0), "fork": (57,), "vfork": (58,),
    "clone as a process": (56, _SIGCHLD), "clone as a sibling": (56, 0x8000 | _SIGCHLD),
    "clone with a pidfd": (56, 0x1000 | _SIGCHLD, 0, _NUL), "clone3": (435, _NUL, 88),
    "execve": (59, b"/bin/true\0", None, None), "execveat": (322, -100, b"/bin/true\0", None, None, 0),
    "execveat of a descriptor": (322, 1, b"\0", None, None, 0x1000), "setpgid": (109, 0, 0), "setsid": (112,),
    "getpgid of the host": (121, _HOST), "getsid of the host": (124, _HOST), "wait4": (61, -1, None, 0, None),
    "waitid": (247, 0, 0, _NUL, 4), "setpriority": (141, 0, 0, -20), "getpriority of the host": (140, 0, _HOST),
    "ioprio_set": (251, 1, 0, 0), "sched_setaffinity": (203, 0, 8, b"\1" + _NUL),
    "sched_setscheduler": (144, 0, 1, b"\1\0\0\0"), "sched_setparam": (142, 0, _NUL),
    "sched_setattr": (314, 0, _NUL, 0),
    "prlimit64 of the host": (302, _HOST, 7, None, _NUL), "prlimit64 with a new limit": (302, 0, 7, _NUL, None),
    "setrlimit": (160, 7, _NUL), "get_robust_list of the host": (274, _HOST, _NUL, _NUL),
    "move_pages of the host": (279, _HOST, 0, None, None, None, 0), "migrate_pages": (256, _HOST, 0, None, None),
    "sched_getaffinity of the host": (204, _HOST, 128, bytes(128)),
    # memory that others see
    "futex: sleep where others can wake": (202, None, 0, 0, None), "futex_waitv": (449, None, 0, 0, None, 0),
    "mincore": (27, 0, 4096, _NUL), "madvise: share equal pages": (28, 0, 4096, 12),
    "madvise: push a page out": (28, 0, 4096, 21), "madvise: make a page cold": (28, 0, 4096, 20),
    "shmget": (29, 0x1234, 4096, 0o1777), "shmat": (30, 0, None, 0), "shmctl": (31, 0, 2, _NUL),
    "semget": (64, 0x1234, 1, 0o1777), "semop": (65, 0, _NUL, 1), "semtimedop": (220, 0, _NUL, 1, None),
    "msgget": (68, 0x1234, 0o1777), "msgsnd": (69, 0, _NUL, 1, 0), "msgrcv": (70, 0, _NUL, 1, 0, 0),
    "mq_open": (240, b"hostile\0", 0o102, 0o777, None), "memfd_create": (319, b"m\0", 0), "memfd_secret": (447, 0),
    "userfaultfd": (323, 1), "pkey_alloc": (330, 0, 0), "pkey_mprotect": (329, 0, 4096, 7, 0),
    "remap_file_pages": (216, 0, 4096, 0, 0, 0), "mlock": (149, 0, 4096), "mlockall": (151, 1),
    "mlock2": (325, 0, 0, 0),
    "mbind": (237, 0, 0, 0, None, 0, 0), "set_mempolicy": (238, 0, None, 0), "vmsplice": (278, 1, _NUL, 0, 0),
    "splice": (275, 1, None, 1, None, 1, 0), "tee": (276, 1, 1, 1, 0), "map_shadow_stack": (453, 0, 4096, 0),
    # namespaces and mounts
    **{f"unshare: {name}": (272, flag) for name, flag in _NEW.items()},
    **{f"clone into a namespace: {name}": (56, flag | _SIGCHLD) for name, flag in _NEW.items() if name != "time"},
    "setns": (308, 3, 0), "mount": (165, b"tmpfs\0", _SCRATCH, b"tmpfs\0", 0, None),
    "mount again, writable": (165, None, b"/\0", None, 32 | 4096, None), "umount2": (166, _SCRATCH, 2),
    "pivot_root": (155, b".\0", b".\0"), "chroot": (161, b".\0"), "fsopen": (430, b"tmpfs\0", 0),
    "fsconfig": (431, 3, 6, None, None, 0), "fsmount": (432, 3, 0, 0), "fspick": (433, -100, b"/\0", 0),
    "open_tree": (428, -100, b"/\0", 1), "open_tree_attr": (467, -100, b"/\0", 1, _NUL, 32),
    "move_mount": (429, 3, b"\0", -100, _SCRATCH, 4), "mount_setattr": (442, -100, b"/\0", 0x8000, _NUL, 32),
    "statmount": (457, _NUL, _NUL, 256, 0), "listmount": (458, _NUL, _NUL, 8, 0), "swapon": (167, b"/s\0", 0),
    "swapoff": (168, b"/s\0"), "quotactl": (179, 0x800002, b"/\0", 0, _NUL), "sysfs": (139, 3),
    "open_by_handle_at": (304, 3, _NUL, 0), "name_to_handle_at": (303, -100, b"/\0", _NUL, _NUL, 0),
    "mknod": (133, b"node\0", 0o20666, 259), "mknodat": (259, -100, b"node\0", 0o20666, 259),
    "mkfifo": (133, b"pipe\0", 0o10666, 0), "fanotify_init": (300, 0, 0), "inotify_init": (253,),
    "inotify_init1": (294, 0), "openat2": (437, -100, b"/\0", _NUL, 24),
    # privileges
    "setuid": (105, 0), "setgid": (106, 0), "setreuid": (113, 0, 0), "setregid": (114, 0, 0),
    "setresuid": (117, 0, 0, 0),
    "setresgid": (119, 0, 0, 0), "setgroups": (116, 0, None), "setfsuid": (122, 0), "setfsgid": (123, 0),
    "capset": (126, b"\x22\x05\x08\x20" + _NUL, _NUL), "arch_prctl": (158, 0x1002, 0), "seccomp": (317, 0, 0, None),
    "landlock_create_ruleset": (444, _NUL, 8, 0), "landlock_restrict_self": (446, 3, 0),
    **{
        f"prctl: {name}": (157, number, value)
        for name, number, value in (
            ("be dumped", 4, 1), ("allow new privileges", 38, 0), ("a second filter", 22, 1), ("other memory", 35, 1),
            ("ambient capabilities", 47, 2), ("keep capabilities", 8, 1), ("secure bits", 28, 0),
            ("capability bounds", 24, 0), ("be traced", 0x59616D61, -1), ("outlive the parent", 1, 0),
            ("adopt orphans", 36, 1), ("runnable memory again", 65, 0), ("dispatch of system calls", 59, 1),
            ("slack of timers", 29, 1), ("cores of its own", 62, 1), ("speculation", 53, 0), ("endless writing", 57, 1),
            ("the machine's errors", 33, 1), ("signals of unaligned reads", 6, 1),
        )
    },
    # the channel
    "sendmsg": (46, 3, _NUL, 0), "send out of band": (44, 3, b"x", 1, 1, None, 0),
    "receive out of band": (45, 3, bytes(1), 1, 1, None, None), "recvmsg out of band": (47, 3, _NUL, 1),
    # the kernel itself
    "add_key": (248, b"user\0", b"k\0", b"v", 1, -3), "request_key": (249, b"user\0", b"k\0", None, -3),
    "keyctl": (250, 0, -3, 1), "bpf": (321, 0, _NUL, 72), "perf_event_open": (298, _NUL, 0, -1, -1, 0),
    "io_uring_setup": (425, 8, _NUL), "io_uring_enter": (426, 3, 1, 0, 0, None),
    "io_uring_register": (427, 3, 0, None, 0),
    "io_setup": (206, 8, _NUL), "kexec_load": (246, 0, 0, None, 0), "kexec_file_load": (320, 3, 3, 0, b"\0", 0),
    "init_module": (175, _NUL, 256, b"\0"), "finit_module": (313, 3, b"\0", 0), "delete_module": (176, b"none\0", 0),
    "reboot": (169, 0xFEE1DEAD, 0x28121969, 0), "sethostname": (170, b"hostile", 7),
    "setdomainname": (171, b"hostile", 7),
    "settimeofday": (164, None, _NUL), "clock_settime": (227, 0, None), "adjtimex": (159, _NUL),
    "clock_adjtime": (305, 0, _NUL), "syslog": (103, 3, _NUL, 256), "acct": (163, None), "iopl": (172, 3),
    "ioperm": (173, 0, 1, 1), "modify_ldt": (154, 1, _NUL, 16), "vhangup": (153,), "personality": (135, 0x0400000),
    "sync": (162,), "syncfs": (306, 1), "timer_create": (222, 1, None, _NUL), "timerfd_create": (283, 1, 0),
    "signalfd4": (289, -1, _NUL, 8, 0), "lookup_dcookie": (212, 0, _NUL, 256), "uselib": (134, b"l\0"),
    "cachestat": (451, 1, _NUL, _NUL, 0), "lsm_get_self_attr": (459, 100, _NUL, _NUL, 0), "rseq_slice_yield": (471,),
    "fadvise64": (221, 1, 0, 0, 4), "readahead": (187, 1, 0, 4096), "a call the kernel does not have": (999,),
    "x32: read": (0x4000_0000,), "x32: ptrace": (0x4000_0000 | 521, 0),
    "x32: execve": (0x4000_0000 | 520, None, None, None),
}  # fmt: skip


def _run(targets: Targets, call: tuple[int | bytes | str | None, ...]) -> str:
    number, *given = (targets[part] if isinstance(part, str) else part for part in call)
    before = os.getpid()
    result = system_call(number, *given)
    if os.getpid() != before:
        os._exit(0)  # the copy that a fork of some kind made
    return f"system call {number} answered {result}"


for name, call in CALLS.items():
    act(name)(lambda t, ctx, call=call: _run(t, call))
