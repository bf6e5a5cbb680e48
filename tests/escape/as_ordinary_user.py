"""Become an ordinary user, then launch an isolate and call it; print what was seen as one JSON line.
The argument is the tier.

As root, the interpreter or the checkout may lie below a directory that only root may enter. So that the
ordinary user meets the same paths, such a directory is covered by an enterable one, in a mount namespace
of this process, with the needed paths mounted back in.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from imperal_sdk.worker.confine import linux

ROOT = Path(__file__).parents[2]
NOBODY = 65534


def become_nobody() -> None:
    needed = [Path(sys.base_prefix), Path(sys.prefix), ROOT]
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    held = {path: os.open(path, os.O_PATH) for path in needed}
    closed = {parent for path in needed for parent in path.parents if not parent.stat().st_mode & 0o001}
    for parent in sorted(closed, key=lambda path: len(path.parts)):
        if not parent.stat().st_mode & 0o001:
            linux.mount("tmpfs", str(parent), "tmpfs", 0, "mode=0755")
    for path, descriptor in held.items():
        if any(parent in closed for parent in path.parents):
            path.mkdir(parents=True, exist_ok=True)
            linux.mount(f"/proc/self/fd/{descriptor}", str(path), flags=linux.MS_BIND | linux.MS_REC)
        os.close(descriptor)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    # A change of ids makes a process undumpable and its /proc files root's; an ordinary login is not so.
    linux.prctl(linux.PR_SET_DUMPABLE, 1)


async def look(tier: str) -> dict[str, object]:
    from imperal_host.app import make_pool
    from imperal_host.catalog.discovery import from_folder
    from imperal_host.clock import SystemClock
    from imperal_host.identity import CallId, Principal, TenantId, UserId
    from imperal_host.settings import Settings
    from imperal_sdk.wire import CallContext, LlmView

    class NoBroker:
        async def ask(self, capability: str, payload: dict[str, object]) -> dict[str, object]:
            raise AssertionError(capability)

    package = from_folder(ROOT / "tests" / "escape" / "prisoner")
    pool = make_pool(Settings.model_validate({"sandbox": tier}), SystemClock())
    context = CallContext("ada", "", "acme", "user", [], LlmView(False, "", ""), 0.0, {})
    async with pool.lease(package, Principal(TenantId("acme"), UserId("ada"))) as isolate:
        answer = await isolate.invoke(CallId("1"), "look_around", {}, context, NoBroker(), 10)
        pid = isolate.pid  # type: ignore[attr-defined]
        status = status_of(str(pid))
    await pool.aclose()
    names = ("Seccomp", "NoNewPrivs", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "Uid", "NSpid")
    return {
        "outside": os.getuid(),
        "inside": answer["data"],
        "status": {name: status[name] for name in names},
        "own": {name: status_of("self")[name] for name in names},
    }


def status_of(pid: str) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())


if __name__ == "__main__":
    if os.geteuid() == 0:
        become_nobody()
    print(json.dumps(asyncio.run(look(sys.argv[1]))))
