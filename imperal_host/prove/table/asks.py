"""What goes over the channel, what is asked for, and who it claims to be; and what is tried at import."""

from imperal_host.prove.row import (
    BROKE_THE_PROTOCOL,
    DEADLINE,
    ENDED,
    KILLED_BY_SECCOMP,
    NAME_TAKEN,
    ByTier,
    Expected,
    Kind,
    Row,
)

_BROKEN: Expected = {BROKE_THE_PROTOCOL: "channel"}
_NOT_GRANTED: Expected = {"request.forbidden": "broker"}
_MALFORMED: Expected = {"request.invalid": "broker"}
_WORKS: Expected = {"worked": "none needed"}


def _rows(kind: Kind, expected: Expected, sentences: dict[str, str], extension: str = "acts") -> tuple[Row, ...]:
    both: ByTier = {"strict": expected, "no-namespaces": expected}
    return tuple(
        Row(name, kind, tries, both, extension, wears_out=name in _WEARING) for name, tries in sentences.items()
    )


def _controls(kind: Kind, sentences: dict[str, str]) -> tuple[Row, ...]:
    both: ByTier = {"strict": _WORKS, "no-namespaces": _WORKS}
    return tuple(Row(name, kind, tries, both, control=True) for name, tries in sentences.items())


_FORGED = (
    "a length over the limit; a length one over the limit; an empty frame; bytes that are no message; "
    "a message that is no object; a message without a type; a type that does not exist; a call of its own; "
    "a part of an answer, as if it were the host; a cancel that names a tenant; a cancel whose number is text; "
    "200 cancels of another call; "
    "an answer, as if it were the host; a refusal, as if it were the host; a second ready; "
    "a result for a call never made; a result for an empty call; a fault for a call never made; a fault for no call; "
    "a result that names a tenant; an ask that names a tenant; an ask that names a user; "
    "an ask that names an extension; "
    "an ask whose number is text; an ask whose number is huge; a payload that is no object; objects 100,000 deep; "
    "a million values; text that is not UTF-8; a number that is no number"
)
_CAPABILITIES = (
    "vault.open", "vault.put", "vault.names", "ledger.append", "ledger.read", "bindings.get", "settings.read",
    "tokens.create", "llm", "llm.complete.other", "LLM.COMPLETE", "llm.complete\0", " llm.complete", "", "__class__",
    "__init__", "_llm_complete", "../vault.open",
)  # fmt: skip
_WEARING = frozenset({"answer twice"})
_EXTRAS = ("a tenant", "a user", "a key", "an address", "a provider", "headers", "a binding", "an owner")

ROWS: tuple[Row, ...] = (
    *_rows("channel", _BROKEN, {f"send {what}": f"Writes {what} to the channel." for what in _FORGED.split("; ")}),
    *_rows(
        "channel",
        {DEADLINE: "limits"},
        {
            "send half a frame and wait": "Announces a message that never comes.",
            "send a frame byte by byte, for ever": "Sends a message so slowly that it never ends.",
            "stop reading for ever": "Leaves the host's messages in the channel.",
        },
    ),
    *_rows(
        "channel",
        _BROKEN,
        {
            "ask without end and never read the answers": "Sends 5,000 requests and leaves the answers unread.",
            "cancel what was never asked": "Cancels 5,000 requests that it did not make.",
        },
    ),
    *_rows(
        "channel",
        {"done": "channel"},
        {
            "ask for another call": "Asks for a model in the name of a call that is not its own.",
            "answer twice": "Sends a forged answer before the true one, to have one left for the next call.",
        },
    ),
    *_rows("channel", {ENDED: "channel"}, {"end the host's half of the channel": "Shuts the channel on both sides."}),
    *_controls("channel", {"control: send a well-formed ask": "Reports progress, which it may."}),
    *_rows(
        "broker",
        _NOT_GRANTED,
        {f"ask for {name!r}": "Asks the host for a capability that was not granted." for name in _CAPABILITIES}
        | {"ask for 'a name of 10,000 letters'": "Asks the host for a capability with an endless name."},
    ),
    *_rows(
        "broker",
        _MALFORMED,
        {f"ask a model with {what} of its choice": f"Names {what} in a request to a model." for what in _EXTRAS},
    ),
    *_rows(
        "broker",
        {"done": "broker"},
        {"have the model's server repeat the key": "Its own model's server answers with the key that it was sent."},
    ),
    *_rows(
        "broker",
        {"upstream.refused": "broker", "upstream.exhausted": "broker"},
        {"have the model's server repeat the key in an error": "Its own model's server fails, and says the key."},
    ),
    *_rows(
        "broker",
        {"upstream.refused": "broker", "upstream.malformed": "broker", "upstream.exhausted": "broker"},
        {"have the model's server send the host elsewhere": "Its own model's server redirects the host to a bait."},
    ),
    *_rows(
        "broker",
        _BROKEN | {DEADLINE: "limits"},
        {"ask a model for 10,000 answers at once": "Floods the host with requests to a model."},
    ),
    *_controls("broker", {"control: ask the user's own model": "Asks for a model, which it may."}),
    *_rows(
        "identity",
        {"done": "identity"},
        {
            f"say that its {what}": f"Changes ctx to say that its {what}, then asks for a model."
            for what in ("user is another", "tenant is another", "role is admin")
        }
        | {"say that the model is the platform's": "Changes ctx to say that the platform pays, then asks for a model."},
    ),
    *_rows(
        "identity",
        _MALFORMED,
        {
            "name another tenant beside its arguments": "Adds a tenant to a progress report.",
            "log in another tenant's name": "Adds a tenant to a line of the log.",
        },
    ),
    *_controls("identity", {"control: see its own user": "Reads who it works for, which it may."}),
    Row(
        "control: read its own code at import",
        "at import",
        "Reads its own code while it is imported, which it may.",
        {"strict": _WORKS, "no-namespaces": _WORKS},
        "at-import",
        control=True,
    ),
    *_rows(
        "at import",
        {"EPERM": "seccomp"},
        {
            "at import: fork": "Makes a second process while it is imported.",
            "at import: share memory": "Makes memory that all later isolates would share.",
            "at import: run a program": "Runs a program while it is imported.",
            "at import: open a socket": "Opens a socket while it is imported.",
            "at import: signal the others": "Sends every process a signal while it is imported.",
        },
        "at-import",
    ),
    *_rows(
        "at import",
        {"ENOENT": "root", "EACCES": "Landlock"},
        {
            "at import: read /proc/self/environ": "Opens its environment while it is imported.",
            "at import: read /etc/passwd": "Opens the list of users while it is imported.",
        },
        "at-import",
    ),
    *_rows(
        "at import",
        {"EROFS": "root", "EACCES": "Landlock"},
        {"at import: change its own code": "Opens its code for writing while it is imported."},
        "at-import",
    ),
    *_rows(
        "at import",
        {"AbsentError": "namespaces", "ModuleNotFoundError": "root"},
        {
            "at import: find descriptors": "Tries every descriptor while it is imported.",
            "at import: find the environment": "Looks into the environment while it is imported.",
            "at import: import the host": "Imports the host while it is imported.",
        },
        "at-import",
    ),
    *_rows(
        "at import",
        {"AbsentError": "identity"},
        {"at import: listen to every later call": "Leaves ears in the SDK, in imports and in a thread."},
        "at-import",
    ),
    *_rows(
        "at import",
        {"done": "identity"},
        {"at import: patch the SDK to be another tenant": "Rewrites the SDK's classes, then asks for a model."},
        "at-import",
    ),
    *_rows(
        "at import",
        _BROKEN,
        {"at import: patch the SDK to name another tenant to the host": "Rewrites what the SDK sends."},
        "at-import",
    ),
    *_rows(
        "at import",
        {DEADLINE: "limits"},
        {"at import: ignore all signals, and then never answer": "Leaves nothing that could be asked to stop."},
        "at-import",
    ),
    *_rows(
        "at import",
        {KILLED_BY_SECCOMP: "seccomp"},
        {"never load: a forbidden system call": "Makes a forbidden system call while it is imported."},
        "load_forbidden",
    ),
    *_rows("at import", {DEADLINE: "limits"}, {"never load: an import without end": "Never ends."}, "load_forever"),
    *_rows("at import", {"MemoryError": "limits"}, {"never load: 8 GiB of memory": "Takes memory."}, "load_memory"),
    *_rows("at import", {ENDED: "channel"}, {"never load: an early end": "Ends its process."}, "load_exits"),
    *_rows("at import", _BROKEN, {"never load: a flood": "Floods the channel."}, "load_floods"),
    *_rows(
        "at import",
        {NAME_TAKEN: "identity"},
        {"never load: another's name": "Says in a forged manifest that it is another extension."},
        "load_forged",
    ),
    *_rows(
        "at import",
        {NAME_TAKEN: "identity"},
        {"never load: a path for a name": "Says in a forged manifest that its name is a path."},
        "load_name",
    ),
)
