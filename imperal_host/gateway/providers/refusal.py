"""What an upstream's error means, in words for the one who configured the model.

``reason`` tells apart what no caller branches on by class: bad_key, no_model, quota, rate, context_too_long,
content_refused, overloaded, redirect; empty for anything else.
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from imperal_host.errors import RateLimitedError, RefusedError, UnansweredError, UnavailableError, UpstreamError

_DETAIL_CHARACTERS_MAX = 300

# The vendors' own codes and types, as their pages on errors list them.
_CODES = {
    "invalid_api_key": "bad_key",
    "authentication_error": "bad_key",
    "permission_error": "bad_key",
    "model_not_found": "no_model",
    "not_found_error": "no_model",
    "deploymentnotfound": "no_model",
    "insufficient_quota": "quota",
    "billing_error": "quota",
    "billing_hard_limit_reached": "quota",
    "rate_limit_exceeded": "rate",
    "rate_limit_error": "rate",
    "context_length_exceeded": "context_too_long",
    "exceed_context_size_error": "context_too_long",
    "request_too_large": "context_too_long",
    "content_filter": "content_refused",
    "content_policy_violation": "content_refused",
    "overloaded_error": "overloaded",
    "server_error": "overloaded",
    "api_error": "overloaded",
    "timeout_error": "overloaded",
}
# Many servers say it in words only.
_WORDS = (
    ("quota", re.compile(r"insufficient[_ ](?:quota|balance|credit)|credit balance is too low|exceeded your .*quota")),
    (
        "context_too_long",
        re.compile(
            r"context (?:length|window|size)|prompt is too long|too many (?:input )?tokens|maximum context|"
            r"exceeds? the (?:available|model's|maximum) (?:context|number of tokens)"
        ),
    ),
    ("bad_key", re.compile(r"api[ _-]?key (?:not valid|is invalid)|(?:invalid|incorrect) api[ _-]?key")),
    ("no_model", re.compile(r"model .{0,120}(?:not found|does not exist|not exist)|no such model|unknown model")),
    ("content_refused", re.compile(r"content (?:filter|policy|management policy)|flagged by")),
    ("overloaded", re.compile(r"overloaded|no slot available|loading model")),
)
_SAYS = {
    "bad_key": "refused the key",
    "no_model": "does not know this model or address",
    "quota": "says that the account has no credit or quota left",
    "rate": "limits the rate",
    "context_too_long": "says that the conversation is too long for this model",
    "content_refused": "refuses this content",
    "overloaded": "is not available",
}
_BUSY = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, slots=True)
class Complaint:
    """The error object of a body or of a streamed event."""

    reason: str
    detail: str


def refused(status: int, body: bytes, retry_after_seconds: float | None = None) -> UpstreamError:
    """The error for a reply that is not 200."""
    if 300 <= status < 400:
        message = f"the model's server answered with a redirect ({status}); redirects are not followed"
        return RefusedError(message, reason="redirect")
    complaint = _complaint(body)
    reason = _by_status(status, complaint.reason)
    said = f" ({complaint.detail})" if complaint.detail else ""
    server = "the model's server"
    if reason == "rate":
        return RateLimitedError(
            f"{server} limits the rate: {status}{said}", reason=reason, retry_after_seconds=retry_after_seconds
        )
    if reason == "overloaded":
        verb = "is not available" if status in {*_BUSY, 500, 502, 503, 504, 529} else "failed"
        return UnavailableError(
            f"{server} {verb}: {status}{said}", reason=reason, retry_after_seconds=retry_after_seconds
        )
    return RefusedError(f"{server} {_SAYS.get(reason, 'refused the request')}: {status}{said}", reason=reason)


def refused_in_stream(event: object) -> UpstreamError:
    """The error for an error event within a 200. The request was taken, so it may have been charged."""
    complaint = _told(event)
    said = f" ({complaint.detail})" if complaint.detail else ""
    reason = complaint.reason
    if reason == "rate":
        return RateLimitedError(f"the model's server limits the rate, in mid-answer{said}", reason=reason)
    if reason in ("", "overloaded"):
        return UnansweredError(f"the model's server broke off its answer{said}", reason=reason or "overloaded")
    return RefusedError(f"the model's server {_SAYS[reason]}, in mid-answer{said}", reason=reason)


def _by_status(status: int, told: str) -> str:
    """The status decides, unless the body says it more precisely."""
    match status:
        case 401:
            return "bad_key"
        case 403:
            return told if told in ("content_refused", "quota", "no_model") else "bad_key"
        case 402:
            return "quota"
        case 404:
            return "no_model"
        case 413:
            return "context_too_long"
        case 429:
            return "quota" if told == "quota" else "rate"
        case status if status >= 500 or status in _BUSY:
            return "overloaded"
    return "" if told in ("rate", "overloaded") else told


def _complaint(body: bytes) -> Complaint:
    try:
        return _told(orjson.loads(body))
    except orjson.JSONDecodeError:
        return Complaint("", "")


def _told(body: Any) -> Complaint:
    """Bodies are objects with ``error`` (an object or a text); Google's are lists of one such."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, str):
        return Complaint(_by_words(error), _one_line(error))
    if not isinstance(error, dict):
        return Complaint("", "")
    text = error.get("message")
    text = text if isinstance(text, str) else ""
    for name in ("code", "type", "status"):
        code = error.get(name)
        if isinstance(code, str) and code.lower() in _CODES:
            reason = _CODES[code.lower()]
            # OpenAI answers a spent account with 429 too; the words of a general type may be more precise
            return Complaint(_by_words(text) if reason == "overloaded" and _by_words(text) else reason, _one_line(text))
    return Complaint(_by_words(text), _one_line(text))


def _by_words(text: str) -> str:
    lowered = text[:4_096].lower()
    return next((reason for reason, words in _WORDS if words.search(lowered)), "")


def _one_line(text: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in text[:4_096])
    return " ".join(printable.split())[:_DETAIL_CHARACTERS_MAX]
