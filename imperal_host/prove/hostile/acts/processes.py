"""Other processes: to make one, to signal one, to run a program. And threads, which are allowed."""

import os
import signal
import subprocess
import threading

from registry import AbsentError, Done, Targets, act, system_call

from imperal_sdk import Context


@act("fork with os.fork")
def fork(t: Targets, ctx: Context) -> str:
    if os.fork() == 0:
        os._exit(0)
    return "forked"


@act("run a program with subprocess")
def run_program(t: Targets, ctx: Context) -> str:
    return f"ran: {subprocess.run(['/bin/sh', '-c', 'true'], check=False)}"


@act("run a program with posix_spawn")
def spawn(t: Targets, ctx: Context) -> str:
    return f"ran: {os.posix_spawn('/bin/true', ['true'], {})}"


@act("become the dynamic loader with execve")
def execute(t: Targets, ctx: Context) -> str:
    os.execve("/lib64/ld-linux-x86-64.so.2", ["ld"], {})
    return "ran"


@act("read the processor time of the host")
def clock_of_host(t: Targets, ctx: Context) -> str:
    clock = (~int(t["host_pid"]) << 3) | 2  # clock_getcpuclockid(3)
    return f"the clock answered {system_call(228, clock, bytes(16))}"


@act("signal the host")
def signal_host(t: Targets, ctx: Context) -> str:
    os.kill(int(t["host_pid"]), 0)
    return "reached"


@act("signal every process")
def signal_all(t: Targets, ctx: Context) -> str:
    os.kill(-1, 0)
    return "reached"


@act("signal its parent")
def signal_parent(t: Targets, ctx: Context) -> str:
    os.kill(os.getppid(), 0)
    return "reached"


@act("signal its process group")
def signal_group(t: Targets, ctx: Context) -> str:
    os.killpg(0, 0)
    return "reached"


@act("learn who its parent is")
def parent(t: Targets, ctx: Context) -> str:
    if os.getppid() == 0:
        raise AbsentError("no parent is to be seen")
    return f"the parent is process {os.getppid()}"


@act("ignore every signal and never answer")
def ignore_signals(t: Targets, ctx: Context) -> str:
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    while True:
        pass


@act("leave threads running after the answer")
def leave_threads(t: Targets, ctx: Context) -> str:
    def spin() -> None:
        while True:
            pass

    for _ in range(4):
        threading.Thread(target=spin, daemon=True).start()
    return Done("left four behind")


@act("be told when a timer of the kernel runs out")
def timer(t: Targets, ctx: Context) -> str:
    return f"a timer: {system_call(222, 1, None, bytes(8))}"


@act("control: start a thread")
def thread(t: Targets, ctx: Context) -> str:
    seen: list[int] = []
    started = threading.Thread(target=lambda: seen.append(1))
    started.start()
    started.join()
    return f"it ran: {seen}"
