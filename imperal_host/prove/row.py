"""One row of the table, what was seen when it was tried, and the pure rule that judges it."""

from dataclasses import dataclass
from typing import Literal

Tier = Literal["strict", "no-namespaces"]
Kind = Literal[
    "files", "environment", "proc", "processes", "sockets", "descriptors", "memory", "namespaces", "privileges",
    "kernel", "limits", "at import", "channel", "broker", "identity",
]  # fmt: skip
Layer = Literal[
    "namespaces",
    "root",
    "Landlock",
    "seccomp",
    "capabilities",
    "limits",
    "channel",
    "broker",
    "identity",
    "none needed",
]
Expected = dict[str, Layer]
ByTier = dict[Tier, Expected]
Outcome = Literal["stopped", "holds", "WORKED", "inconclusive", "not promised"]

TIERS: tuple[Tier, ...] = ("strict", "no-namespaces")
# Tokens beside errno names (``EPERM``), error codes (``request.forbidden``) and exception classes.
WORKED, DONE = "worked", "done"
KILLED_BY_SECCOMP = "stopped: a forbidden system call"
BROKE_THE_PROTOCOL = "stopped: broke the protocol"
DEADLINE = "stopped: its time was up"
CPU_TIME = "stopped: its CPU time was up"
KILLED = "stopped: killed"
CRASHED = "stopped: crashed"
ENDED = "stopped: ended"
NAME_TAKEN = "the name is taken"
NOT_LOADED = "not loaded"


@dataclass(frozen=True, slots=True)
class Row:
    """``expected``, by tier: what may be seen, and which layer that speaks for. No entry: not promised there.

    ``control`` rows must work: they show that the suite itself does. After a row that ``wears_out`` its isolate
    (full, slow, patched), the next one gets a clean one.
    """

    name: str
    kind: Kind
    tries: str
    expected: ByTier
    extension: str = "acts"
    control: bool = False
    wears_out: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one attempt. ``others``: what the rest of the machine shows, empty when it is well."""

    token: str
    says: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """``layer`` is set when it was stopped. ``detail`` is what was seen."""

    outcome: Outcome
    layer: Layer | None
    detail: str

    @property
    def passes(self) -> bool:
        return self.outcome in ("stopped", "holds", "not promised")


def judge(row: Row, tier: Tier, seen: Seen, canaries: frozenset[str]) -> Verdict:
    """Stopped only on evidence that the row names: any other end, an unforeseen exception too, is inconclusive."""
    expected = row.expected.get(tier)
    leaked = [canary for canary in canaries if canary in seen.says or canary in seen.token]
    if leaked:
        return Verdict("WORKED", None, "a secret of the host came out")
    if seen.others:
        return Verdict("WORKED", None, "; ".join(seen.others))
    if expected is None:
        return Verdict("not promised", None, seen.says)
    if row.control:
        return Verdict("holds" if seen.token in expected else "inconclusive", None, seen.says)
    if seen.token == WORKED:
        return Verdict("WORKED", None, seen.says)
    layer = expected.get(seen.token)
    if layer is None:
        return Verdict("inconclusive", None, f"{seen.token}: {seen.says}")
    return Verdict("stopped", layer, f"{seen.token}: {seen.says}" if seen.says else seen.token)


_CAUSES = (
    ("forbidden system call", KILLED_BY_SECCOMP),
    ("broke the protocol", BROKE_THE_PROTOCOL),
    ("malformed frame", BROKE_THE_PROTOCOL),
    ("over the limit of", BROKE_THE_PROTOCOL),
    ("did not answer within", DEADLINE),
    ("not ready within", DEADLINE),
    ("used up its CPU time", CPU_TIME),
    ("was killed", KILLED),
    ("crashed", CRASHED),
    ("aborted", CRASHED),
    ("MemoryError", "MemoryError"),
    ("has the id", NAME_TAKEN),
    ("app_id", NAME_TAKEN),
    ("exited with status", ENDED),
    ("it ended", ENDED),
)


def token_of(message: str) -> str:
    """The token for the host's own sentence about an isolate that stopped or never loaded."""
    return next((token for phrase, token in _CAUSES if phrase in message), NOT_LOADED)
