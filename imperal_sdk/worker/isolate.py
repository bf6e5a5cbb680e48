"""What a clone of the zygote does before and after it is an isolate.

Nothing here returns: whatever happens, the process ends here, so that no code of the zygote runs in it.
"""

import fcntl
import gc
import json
import os
import socket
import sys
from dataclasses import dataclass
from typing import Any, NoReturn

from imperal_sdk.worker.confine import canary, landlock, linux, namespaces, privileges, root, seccomp

CHANNEL = 3
_RULESET, _PROC = 4, 5
_FAILED = 70


class LayerError(Exception):
    """A sandbox layer could not be applied."""

    def __init__(self, layer: str, why: object) -> None:
        super().__init__(f"{layer}: {why}")


@dataclass(frozen=True, slots=True)
class Confinement:
    """The policy, and what the zygote has made ready for it.

    ``ruleset`` (Landlock) and ``system_calls`` (seccomp) are ``None`` where these layers are switched off;
    ``proc`` is there when all isolates share one id, so that each needs a user namespace of its own.
    """

    policy: dict[str, Any]
    ruleset: int | None
    system_calls: seccomp.Prepared | None
    proc: int | None


def become_isolate(confinement: Confinement, channel: int, output: int, uid: int) -> NoReturn:
    try:
        privileges.die_with_parent()
        _keep_only(confinement, channel, output)
        own = socket.socket(fileno=CHANNEL)
        try:
            _lock_down(confinement, uid)
        except (LayerError, OSError) as error:
            _report(own, str(error))
            os._exit(_FAILED)
        _serve(confinement.policy, own)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(0)


def _serve(policy: dict[str, Any], channel: socket.socket) -> None:
    gc.enable()
    sys.path[:] = policy["import_path"]
    from imperal_sdk.worker.serve import serve  # the zygote has imported it from where isolates see it

    serve(channel, policy["module"], policy["attribute"])


def _report(channel: socket.socket, why: str) -> None:
    """The one message of this module, by hand: it must not need what may be missing."""
    body = json.dumps({"type": "fault", "code": "sandbox.unavailable", "message": why[:2_000]}).encode()
    channel.sendall(len(body).to_bytes(4, "big") + body)


def _keep_only(confinement: Confinement, channel: int, output: int) -> None:
    """Close every descriptor but the standard three, the channel and, until they are used, two more."""
    # An input of its own: the flags of the zygote's (fcntl(2), F_SETFL) are those of all its clones.
    wanted = {0: os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), CHANNEL: channel, 1: output, 2: output}
    if confinement.ruleset is not None:
        wanted[_RULESET] = confinement.ruleset
    if confinement.proc is not None:
        wanted[_PROC] = confinement.proc
    above = {target: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _PROC + 1) for target, source in wanted.items()}
    for target, source in above.items():
        os.dup2(source, target, inheritable=False)
    for target in {_RULESET, _PROC} - above.keys():
        os.dup2(above[CHANNEL], target, inheritable=False)
    linux.close_from(_PROC + 1)


def _lock_down(confinement: Confinement, uid: int) -> None:
    policy = confinement.policy
    if policy["namespaces"]:
        try:
            namespaces.enter_those_of_an_isolate(None if confinement.proc is None else _PROC)
            root.mount_scratch(policy["scratch_bytes_max"])
        except OSError as error:
            raise LayerError("namespaces", error) from None
    os.close(_PROC)
    privileges.drop_bounding_set()
    if policy["own_ids"]:
        privileges.take_id(uid)
        privileges.die_with_parent()
    privileges.limit_resources(policy["rlimits"])
    privileges.drop_capabilities()
    privileges.forbid_new_privileges()
    if confinement.ruleset is not None:
        try:
            landlock.restrict(_RULESET)
        except OSError as error:
            raise LayerError("Landlock", error) from None
    os.close(_RULESET)
    if confinement.system_calls is not None:
        try:
            seccomp.restrict(confinement.system_calls)
        except OSError as error:
            raise LayerError("seccomp", error) from None
        if worked := canary.escapes():
            raise LayerError("canary", f"it was possible to {', to '.join(worked)}")
