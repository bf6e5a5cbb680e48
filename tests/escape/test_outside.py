"""The attempts are real: without a sandbox they work, and the suite says so. (Only those that do no harm.)"""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from imperal_host.prove.row import Seen, judge
from imperal_host.prove.stage import EXTENSIONS_DIR, staged
from imperal_host.prove.suite import SUITE
from tests.conftest import ROOT

_PROGRAM = """
import asyncio, json, sys
sys.path[:0] = sys.argv[1:3]
import main, registry
names, targets = json.loads(sys.stdin.read())
print(json.dumps({name: asyncio.run(registry.report(name, targets, None)) for name in names}))
"""
HARMLESS = (
    "read a file of the host",
    "read the host's code",
    "read /etc/passwd",
    "read a file of the host by ..",
    "see that a file of the host exists",
    "list the root directory",
    "make a symbolic link to a file of the host",
    "find a secret of the host in os.environ",
    "find a secret of the host with getenv",
    "import the host's code",
    "read /proc/self/environ",
    "read /proc/self/maps",
    "read the host's /proc/PID/environ",
    "fork with os.fork",
    "run a program with subprocess",
    "signal the host",
    "learn who its parent is",
    "be told when a timer of the kernel runs out",
    "open a socket: AF_UNIX",
    "open a socket: AF_INET",
    "open a socket: AF_NETLINK",
    "connect to a port of the host",
    "connect to an abstract socket of the host",
    "connect to a socket file of the host",
    "send to an abstract socket of the host from a pair",
    "send to a socket file of the host from a pair",
    "bind one end of a pair to a name",
    "find its own descriptors in /dev/fd",
    "open a descriptor anew by its name in /dev/fd",
    "climb out by a directory's descriptor",
    "put another descriptor in the channel's place",
    "map memory that can be written and run",
    "make written memory runnable",
    "map a file of its own as code",
    "share memory: anonymous, MAP_SHARED",
    "share memory: a library, MAP_SHARED",
    "share memory: mmap.mmap",
    "kill",
    "pidfd_open",
    "fork",
    "memfd_create",
    "inotify_init",
    "prctl: adopt orphans",
    "timerfd_create",
    "run a file from the scratch directory as a library",
)


async def test_without_a_sandbox_the_harmless_attempts_work(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _PROGRAM, str(EXTENSIONS_DIR / "acts"), str(ROOT)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, "PATH": os.environ["PATH"]},
        )
        question = json.dumps([HARMLESS, stage.targets]).encode()
        answer, _ = await asyncio.wait_for(process.communicate(question), 60)
        await asyncio.sleep(0.1)
        seen = {name: Seen(report["token"], report["says"]) for name, report in json.loads(answer).items()}
        rows = {row.name: row for row in SUITE}
        outcomes = {name: judge(rows[name], "strict", one, stage.secrets.all()).outcome for name, one in seen.items()}
        assert {name: seen[name] for name, outcome in outcomes.items() if outcome != "WORKED"} == {}
        assert len(outcomes) == len(HARMLESS)
        assert {bait.partition(" received")[0] for bait in stage.baits} == {
            "somebody connected to a port of the host",
            "a socket of the host",
        }


@pytest.mark.parametrize("name", HARMLESS)
def test_the_harmless_are_rows_of_the_table(name: str) -> None:
    assert name in {row.name for row in SUITE}
