"""The system-call filter, run as the kernel runs it: a classic BPF program over one ``struct seccomp_data``."""

import errno
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperal_sdk.worker.confine.seccomp import ABSENT, ALLOWED, CHANGES_BY_PATH, KILLED, PRETENDED, program

X86_64, I386, AARCH64 = 0xC000_003E, 0x4000_0003, 0xC000_00B7
X32_BIT = 0x4000_0000
ALLOW, KILL = 0x7FFF_0000, 0x8000_0000
REFUSED, NO_SUCH_CALL = 0x0005_0000 | errno.EPERM, 0x0005_0000 | errno.ENOSYS

MMAP, IOCTL, SOCKETPAIR, GETSOCKOPT, CLONE, FCNTL, PRCTL, PRLIMIT64 = 9, 16, 53, 55, 56, 72, 157, 302
MADVISE, SENDTO, RECVFROM, RECVMSG, FUTEX, SCHED_GETAFFINITY = 28, 44, 45, 47, 202, 204
CLOCKS = {"clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230}
CONDITIONAL = {
    MMAP, IOCTL, SOCKETPAIR, GETSOCKOPT, CLONE, FCNTL, PRCTL, PRLIMIT64, MADVISE, SENDTO, RECVFROM, RECVMSG, FUTEX,
    SCHED_GETAFFINITY, *CLOCKS.values(),
}  # fmt: skip
LISTED = {**ALLOWED, **KILLED, **ABSENT, **PRETENDED}
LAST_NUMBER = 470  # a little past the newest call this kernel generation knows

PROGRAM = program()


def verdict(number: int, *arguments: int, arch: int = X86_64) -> int:
    """What the filter answers. Opcodes: linux/bpf_common.h; the data's layout: linux/seccomp.h."""
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("<IIQ6Q", number, arch, 0x7F00_0000_0000, *padded)
    accumulator = counter = 0
    while True:
        code, if_true, if_false, k = PROGRAM[counter]
        counter += 1
        match code:
            case 0x20:  # BPF_LD | BPF_W | BPF_ABS
                assert k % 4 == 0
                (accumulator,) = struct.unpack_from("<I", data, k)
            case 0x15:  # BPF_JMP | BPF_JEQ | BPF_K
                counter += if_true if accumulator == k else if_false
            case 0x35:  # BPF_JMP | BPF_JGE | BPF_K
                counter += if_true if accumulator >= k else if_false
            case 0x45:  # BPF_JMP | BPF_JSET | BPF_K
                counter += if_true if accumulator & k else if_false
            case 0x06:  # BPF_RET | BPF_K
                return k
            case _:
                raise AssertionError(f"no such instruction: {code:#x}")


def table(calls: dict[str, int]) -> list[Any]:
    return [pytest.param(number, id=name) for name, number in calls.items()]


def test_the_kernel_would_take_the_program() -> None:
    assert len(PROGRAM) <= 4096, "BPF_MAXINSNS"
    assert PROGRAM[-1][0] == 0x06, "it cannot run off its end"
    for index, (code, if_true, if_false, k) in enumerate(PROGRAM):
        struct.pack("HBBI", code, if_true, if_false, k)
        if code in (0x15, 0x35, 0x45):
            assert index + 1 + max(if_true, if_false) < len(PROGRAM), "a jump lands inside"
        if code == 0x20:
            assert k <= 60, "a load stays inside seccomp_data"


@pytest.mark.parametrize("number", table(ALLOWED))
def test_what_an_interpreter_needs_is_allowed(number: int) -> None:
    assert verdict(number) == ALLOW


@pytest.mark.parametrize("number", table(KILLED))
def test_what_no_interpreter_asks_for_by_accident_ends_the_process(number: int) -> None:
    assert verdict(number) == KILL


@pytest.mark.parametrize("number", table(ABSENT))
def test_what_libraries_only_probe_for_does_not_exist(number: int) -> None:
    assert verdict(number) == NO_SUCH_CALL


@pytest.mark.parametrize("number", table(PRETENDED))
def test_what_would_reach_the_hosts_disk_is_only_said_to_be_done(number: int) -> None:
    assert verdict(number) == 0x0005_0000


@pytest.mark.parametrize("operation", range(14))
@pytest.mark.parametrize("clock", [0, 256])
def test_a_sleep_on_a_word_that_others_may_share_does_not_begin(operation: int, clock: int) -> None:
    wakes = (operation, clock) == (1, 0)
    assert verdict(FUTEX, 0, operation | clock) == (ALLOW if wakes else 0x0005_0000 | errno.EAGAIN)
    assert verdict(FUTEX, 0, operation | clock | 128) == ALLOW


@pytest.mark.parametrize("number", table(CLOCKS))
def test_only_clocks_of_the_machine_and_its_own(number: int) -> None:
    assert {verdict(number, clock) for clock in range(12)} == {ALLOW}
    of_process = [(~pid << 3 | kind) & 0xFFFF_FFFF for pid in (0, 1, 4_000_000) for kind in (0, 1, 2, 3, 6)]
    assert {verdict(number, clock) for clock in of_process} == {REFUSED}


def test_only_ones_own_processors() -> None:
    assert verdict(SCHED_GETAFFINITY, 0) == ALLOW
    assert verdict(SCHED_GETAFFINITY, 1) == REFUSED


@pytest.mark.parametrize(("number", "index"), [(SENDTO, 3), (RECVFROM, 3), (RECVMSG, 2)])
def test_no_bytes_out_of_band(number: int, index: int) -> None:
    dontwait, oob = 0x40, 1
    assert verdict(number, *[0] * index, dontwait) == ALLOW
    assert verdict(number, *[0] * index, dontwait | oob) == REFUSED


def test_advice_is_what_allocators_give() -> None:
    assert {advice for advice in range(128) if verdict(MADVISE, 0, 0, advice) == ALLOW} == {
        0, 1, 2, 3, 4, 8, 10, 11, 14, 15, 16, 17, 18, 19, 22, 23, 102, 103,
    }  # fmt: skip


def test_what_is_not_listed_is_refused() -> None:
    unlisted = set(range(LAST_NUMBER)) - set(LISTED.values()) - CONDITIONAL

    assert len(unlisted) > 100
    assert {verdict(number) for number in unlisted} == {REFUSED}


@pytest.mark.parametrize(
    "number",
    table(
        {
            "socket": 41,
            "connect": 42,
            "accept": 43,
            "bind": 49,
            "listen": 50,
            "fork": 57,
            "vfork": 58,
            "execve": 59,
            "kill": 62,
            "link": 86,
            "symlink": 88,
            "chmod": 90,
            "chown": 92,
            "setuid": 105,
            "flock": 73,
            "mknod": 133,
            "setrlimit": 160,
            "tkill": 200,
            "tgkill": 234,
            "finit_module": 313,
            "execveat": 322,
            "pidfd_send_signal": 424,
            "pidfd_open": 434,
        }
    ),
)
def test_what_reaches_out_of_the_process_is_not_allowed(number: int) -> None:
    assert verdict(number) in (REFUSED, KILL)


@pytest.mark.parametrize(
    "number",
    table(
        {
            "ptrace": 101,
            "pivot_root": 155,
            "chroot": 161,
            "mount": 165,
            "init_module": 175,
            "keyctl": 250,
            "unshare": 272,
            "perf_event_open": 298,
            "open_by_handle_at": 304,
            "setns": 308,
            "process_vm_readv": 310,
            "process_vm_writev": 311,
            "seccomp": 317,
            "bpf": 321,
            "userfaultfd": 323,
            "io_uring_setup": 425,
        }
    ),
)
def test_what_an_attack_is_made_of_ends_the_process(number: int) -> None:
    assert verdict(number) == KILL


def test_every_call_stands_in_one_table() -> None:
    numbers = [*ALLOWED.values(), *KILLED.values(), *ABSENT.values(), *CONDITIONAL]

    assert len(numbers) == len(set(numbers))


@given(number=st.sampled_from(sorted(LISTED.values())), arguments=st.lists(st.integers(0, 2**64 - 1), max_size=6))
def test_arguments_do_not_change_an_unconditional_answer(number: int, arguments: list[int]) -> None:
    assert verdict(number, *arguments) == verdict(number)


@given(number=st.integers(0, LAST_NUMBER), arch=st.integers(0, 2**32 - 1).filter(lambda arch: arch != X86_64))
def test_another_architecture_ends_the_process(number: int, arch: int) -> None:
    assert verdict(number, arch=arch) == KILL


@pytest.mark.parametrize("arch", [I386, AARCH64])
def test_so_does_the_32_bit_entry_of_this_machine(arch: int) -> None:
    assert verdict(ALLOWED["read"], arch=arch) == KILL


@given(number=st.integers(0, 2**31 - 1).map(lambda number: number | X32_BIT))
def test_an_x32_call_ends_the_process(number: int) -> None:
    assert verdict(number) == KILL


@pytest.mark.parametrize("command", [0, 1, 2, 3, 4, 1030])
def test_fcntl_may_look_after_its_own_descriptors(command: int) -> None:
    assert verdict(FCNTL, 3, command) == ALLOW


@pytest.mark.parametrize("command", [5, 6, 7, 8, 36, 37, 38, 1024, 1025, 1026, 1031, 1033])
def test_fcntl_may_leave_no_lock_lease_or_notice_on_a_file_that_others_see(command: int) -> None:
    assert verdict(FCNTL, 3, command) == REFUSED


MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_ANONYMOUS = 0x01, 0x02, 0x03, 0x20
# What glibc's pthread_create asks for: VM FS FILES SIGHAND THREAD SYSVSEM SETTLS PARENT_SETTID CHILD_CLEARTID
PTHREAD = 0x003D_0F00
CLONE_VM, CLONE_VFORK, CLONE_PIDFD, CLONE_THREAD, SIGCHLD = 0x100, 0x4000, 0x1000, 0x1_0000, 17
NAMESPACES = {
    "NEWNS": 0x0002_0000,
    "NEWCGROUP": 0x0200_0000,
    "NEWUTS": 0x0400_0000,
    "NEWIPC": 0x0800_0000,
    "NEWUSER": 0x1000_0000,
    "NEWPID": 0x2000_0000,
    "NEWNET": 0x4000_0000,
}
FIONCLEX, FIOCLEX, FIONBIO, FIONREAD, TCGETS = 0x5450, 0x5451, 0x5421, 0x541B, 0x5401
TIOCSTI, TIOCLINUX, SIOCGIFCONF = 0x5412, 0x541C, 0x8912
PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_SET_VMA = 15, 16, 3, 0x5356_4D41
MORE_PRCTLS = {"PDEATHSIG": 1, "DUMPABLE": 4, "SECCOMP": 22, "MM": 35, "NO_NEW_PRIVS": 38, "PTRACER": 0x5961_6D61}
AF_UNIX, AF_INET, AF_NETLINK = 1, 2, 16
RLIMIT_NOFILE, AN_ADDRESS = 7, 0x7FFE_1234_5678


@pytest.mark.parametrize("flags", [MAP_PRIVATE, MAP_PRIVATE | MAP_ANONYMOUS])
def test_a_private_mapping_is_allowed(flags: int) -> None:
    assert verdict(MMAP, 0, 4096, 3, flags) == ALLOW


@pytest.mark.parametrize("flags", [MAP_SHARED, MAP_SHARED | MAP_ANONYMOUS, MAP_SHARED_VALIDATE])
def test_a_shared_mapping_is_refused(flags: int) -> None:
    assert verdict(MMAP, 0, 4096, 3, flags) == REFUSED


def test_a_thread_is_allowed() -> None:
    assert verdict(CLONE, PTHREAD) == ALLOW


@pytest.mark.parametrize("flags", [0, SIGCHLD, CLONE_VM | CLONE_VFORK | SIGCHLD, PTHREAD & ~CLONE_THREAD])
def test_a_process_is_refused(flags: int) -> None:
    assert verdict(CLONE, flags) == REFUSED


@pytest.mark.parametrize("base", [SIGCHLD, PTHREAD])
@pytest.mark.parametrize("flag", [*table(NAMESPACES), pytest.param(CLONE_PIDFD, id="PIDFD")])
def test_a_namespace_or_a_pidfd_is_refused_even_to_a_thread(base: int, flag: int) -> None:
    assert verdict(CLONE, base | flag) == REFUSED


@given(flags=st.integers(0, 2**32 - 1))
def test_clone_is_allowed_for_threads_and_nothing_else(flags: int) -> None:
    forbidden = CLONE_PIDFD | sum(NAMESPACES.values())
    wanted = ALLOW if flags & CLONE_THREAD and not flags & forbidden else REFUSED

    assert verdict(CLONE, flags) == wanted


@pytest.mark.parametrize(
    ("number", "arguments", "answer"),
    [
        *(pytest.param(IOCTL, (0, request), ALLOW) for request in (FIONCLEX, FIOCLEX, FIONBIO, FIONREAD, TCGETS)),
        *(pytest.param(IOCTL, (0, request), REFUSED) for request in (0, TIOCSTI, TIOCLINUX, SIOCGIFCONF)),
        pytest.param(IOCTL, (FIONBIO, 0), REFUSED, id="the descriptor is not the request"),
        *(pytest.param(PRCTL, (option,), ALLOW) for option in (PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_SET_VMA)),
        *(pytest.param(PRCTL, (option,), REFUSED, id=f"PR_SET_{name}") for name, option in MORE_PRCTLS.items()),
        *(pytest.param(SOCKETPAIR, (AF_UNIX, 1 | flags), ALLOW) for flags in (0, 0x800, 0x80000, 0x80800)),
        *(pytest.param(SOCKETPAIR, (AF_UNIX, kind), REFUSED) for kind in (0, 2, 3, 5, 2 | 0x80000)),
        *(pytest.param(SOCKETPAIR, (family, 1), REFUSED) for family in (0, AF_INET, AF_NETLINK)),
        *(pytest.param(GETSOCKOPT, (3, 1, option), ALLOW) for option in (3, 4, 38, 39)),
        *(pytest.param(GETSOCKOPT, (3, 1, option), REFUSED) for option in (17, 59, 77)),  # who the peer is
        pytest.param(GETSOCKOPT, (3, 6, 4), REFUSED),
        pytest.param(PRLIMIT64, (0, RLIMIT_NOFILE, 0, AN_ADDRESS), ALLOW, id="reading one's own limit"),
        pytest.param(PRLIMIT64, (1, RLIMIT_NOFILE, 0, AN_ADDRESS), REFUSED, id="another process's limit"),
        pytest.param(PRLIMIT64, (0, RLIMIT_NOFILE, AN_ADDRESS, 0), REFUSED, id="a new limit"),
        pytest.param(PRLIMIT64, (0, RLIMIT_NOFILE, 0xFF_0000_0000, 0), REFUSED, id="its address all in the high half"),
        pytest.param(PRLIMIT64, (0, RLIMIT_NOFILE, 0x1000, 0), REFUSED, id="its address all in the low half"),
    ],
)
def test_some_calls_depend_on_their_arguments(number: int, arguments: tuple[int, ...], answer: int) -> None:
    assert verdict(number, *arguments) == answer


def test_where_nothing_may_be_written_what_changes_a_path_is_refused() -> None:
    read_only = program(CHANGES_BY_PATH)
    assert len(read_only) == len(PROGRAM) - 2 * len(CHANGES_BY_PATH)
    assert ALLOWED.keys() >= CHANGES_BY_PATH
