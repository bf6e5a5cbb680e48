"""What can go wrong, sorted by who must act.

* HostError
  x RequestError               the caller must change something
    + UnauthenticatedError, ForbiddenError, NotFoundError, InvalidError, TooLargeError,
      ConfirmationRequiredError, BudgetExhaustedError, BusyError
  x ExtensionError             the extension's author must change something
    + ExtensionRaisedError     it raised, or answered something that is no answer
    + ExtensionStoppedError    crash, a broken protocol; DeadlineError: its time is up
    + ExtensionLimitError      it met a bound of its sandbox: processor time, memory, threads, files, disk
    + ExtensionLoadError       it cannot be imported, or its manifest is wrong
  x UpstreamError              another target, or later
    + UnavailableError (UnansweredError), RateLimitedError, RefusedError, MalformedError, EgressBlockedError,
      CascadeExhaustedError
  x SealedError                the operator: a secret or a key does not open
  x SandboxError               the operator: a sandbox layer cannot be applied here
  x SetupError                 the operator: a directory, a file, a model is missing or unusable
  x StorageError               the operator: the database is busy, full or not writable
  x LedgerError                the operator: the ledger cannot write; nothing goes out unrecorded
  x IntegrityError             stop: stored data contradicts itself

``code`` is stable and crosses the wire. A class exists only where a caller branches on it.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong field: a dotted path and a sentence."""

    field: str
    message: str


class HostError(Exception):
    """``call_id`` is set once a call was accepted: its rows are in the ledger under it."""

    code: ClassVar[str] = "host.error"
    call_id: str | None = None


class RequestError(HostError):
    code = "request.error"


class UnauthenticatedError(RequestError):
    code = "request.unauthenticated"


class ForbiddenError(RequestError):
    code = "request.forbidden"


class NotFoundError(RequestError):
    code = "request.not_found"


class InvalidError(RequestError):
    code = "request.invalid"

    def __init__(self, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class TooLargeError(RequestError):
    code = "request.too_large"


class ConfirmationRequiredError(RequestError):
    """``would`` says what the call would do: function, description, arguments."""

    code = "request.confirmation_required"

    def __init__(self, message: str, would: dict[str, object]) -> None:
        super().__init__(message)
        self.would = would


class BudgetExhaustedError(RequestError):
    code = "budget.exhausted"


class BusyError(RequestError):
    code = "request.busy"

    def __init__(self, message: str, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ExtensionError(HostError):
    code = "extension.error"


class ExtensionRaisedError(ExtensionError):
    """``echoes`` is the code the extension's exception carried, perhaps that of a refusal of ours."""

    code = "extension.raised"

    def __init__(self, message: str, *, echoes: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.echoes = echoes
        self.problems = problems


class ExtensionStoppedError(ExtensionError):
    code = "extension.stopped"


class DeadlineError(ExtensionStoppedError):
    code = "extension.deadline"


class ExtensionLimitError(ExtensionError):
    """The message names the limit, and what was used of it."""

    code = "extension.limit"


class ExtensionLoadError(ExtensionError):
    code = "extension.load_failed"


class UpstreamError(HostError):
    """``may_have_charged``: the request left, and the upstream may have done its work.

    ``reason`` says more than the class does (``gateway/providers/refusal.py``), or is empty.
    ``retry_after_seconds`` is what the upstream asked for, if it did.
    """

    code = "upstream.error"
    try_next: ClassVar[bool] = False
    may_have_charged: ClassVar[bool] = False

    def __init__(self, message: str, *, reason: str = "", retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class UnavailableError(UpstreamError):
    code = "upstream.unavailable"
    try_next = True


class UnansweredError(UnavailableError):
    """The request was sent, and no whole answer came."""

    code = "upstream.unanswered"
    may_have_charged = True


class RateLimitedError(UpstreamError):
    code = "upstream.rate_limited"
    try_next = True


class RefusedError(UpstreamError):
    code = "upstream.refused"
    try_next = True


class MalformedError(UpstreamError):
    """The upstream answered, but not in its dialect. It may have worked, and charged, all the same."""

    code = "upstream.malformed"
    try_next = True
    may_have_charged = True


class EgressBlockedError(UpstreamError):
    code = "upstream.egress_blocked"


class CascadeExhaustedError(UpstreamError):
    code = "upstream.exhausted"

    def __init__(self, failures: tuple[UpstreamError, ...]) -> None:
        super().__init__("; then ".join(str(failure) for failure in failures))
        self.failures = failures


class SealedError(HostError):
    code = "vault.sealed"


class SandboxError(HostError):
    code = "sandbox.unavailable"


class SetupError(HostError):
    code = "host.setup"


class LedgerError(HostError):
    code = "ledger.unavailable"


class StorageError(HostError):
    code = "storage.unavailable"


class IntegrityError(HostError):
    code = "host.integrity"
