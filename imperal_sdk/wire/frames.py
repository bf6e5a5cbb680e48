"""Every frame of the protocol."""

from typing import Any

import msgspec

# What the host takes of one log entry or progress report. An isolate cuts what is longer, so that it is
# not refused whole.
TEXT_CHARACTERS_MAX = 4_000
LOG_FIELDS_MAX = 50
PROGRESS_CHARACTERS_MAX = 500
# Capabilities that are answered in parts; of all others the answer comes whole.
STREAMED = frozenset({"llm.stream"})


class LlmView(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``ctx.llm`` shows before the first call."""

    is_byollm: bool
    provider: str
    model: str


class CallContext(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an extension may know of the one it works for. ``now`` is seconds since the epoch, UTC."""

    imperal_id: str
    email: str
    tenant_id: str
    role: str
    scopes: list[str]
    llm: LlmView
    now: float
    config: dict[str, Any]


class Problem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One wrong argument: a dotted path and a sentence."""

    field: str
    message: str


# -- sent by the host


class Start(msgspec.Struct, frozen=True, tag="start", forbid_unknown_fields=True):
    """The host has looked at the confined process from outside: the extension may be imported.

    A manifest is asked for once; later isolates of the same code need not make it again.
    """

    manifest_wanted: bool


class Invoke(msgspec.Struct, frozen=True, tag="invoke", forbid_unknown_fields=True):
    call_id: str
    function: str
    arguments: dict[str, Any]
    context: CallContext


class Part(msgspec.Struct, frozen=True, tag="part", forbid_unknown_fields=True):
    """Some more of a streamed answer, in order. The ``Answer`` or ``Refusal`` of the same ask is its end."""

    ask_id: int
    items: list[dict[str, Any]]


class Answer(msgspec.Struct, frozen=True, tag="answer", forbid_unknown_fields=True):
    ask_id: int
    payload: dict[str, Any]


class Refusal(msgspec.Struct, frozen=True, tag="refusal", forbid_unknown_fields=True):
    """The host will not, or could not, do what was asked."""

    ask_id: int
    code: str
    message: str


# -- sent by the isolate


class Confined(msgspec.Struct, frozen=True, tag="confined", forbid_unknown_fields=True):
    """Every layer holds; nothing of the extension has run."""


class Ready(msgspec.Struct, frozen=True, tag="ready", forbid_unknown_fields=True):
    """The extension is imported; this is its manifest, if it was wanted."""

    manifest: dict[str, Any] | None


class Ask(msgspec.Struct, frozen=True, tag="ask", forbid_unknown_fields=True):
    """A running call asks its host for a capability."""

    call_id: str
    ask_id: int
    capability: str
    payload: dict[str, Any]


class Cancel(msgspec.Struct, frozen=True, tag="cancel", forbid_unknown_fields=True):
    """Nobody waits for this ask any more. Nothing answers it; it may cross its ask's own answer."""

    call_id: str
    ask_id: int


class Return(msgspec.Struct, frozen=True, tag="return", forbid_unknown_fields=True):
    call_id: str
    result: dict[str, Any]


class Fault(msgspec.Struct, frozen=True, tag="fault", forbid_unknown_fields=True):
    """A call failed, or (without ``call_id``) the extension could not be loaded."""

    code: str
    message: str
    call_id: str | None = None
    problems: list[Problem] = []


Frame = Start | Invoke | Part | Answer | Refusal | Confined | Ready | Ask | Cancel | Return | Fault
