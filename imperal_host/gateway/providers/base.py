"""What a dialect is, and what all of them share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import httpx
import orjson
from pydantic import JsonValue

from imperal_host.errors import MalformedError, RateLimitedError, RefusedError, UnavailableError, UpstreamError
from imperal_sdk.llm import CompletionBlock, LlmRequest, Parameters, TextBlock, Usage

_DETAIL_CHARACTERS_MAX = 300
_CHARACTERS_PER_TOKEN = 4
_TEMPLATE_TOKENS = 32


@dataclass(frozen=True, slots=True)
class Reply:
    """An upstream's answer, read whole. ``retry_after_seconds`` is its Retry-After header, if it was readable."""

    status: int
    body: bytes
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a dialect reads out of a reply. ``model`` is what the upstream says it ran."""

    content: tuple[CompletionBlock, ...]
    model: str
    stop_reason: str
    usage: Usage

    @property
    def text(self) -> str:
        return "".join(block.text for block in self.content if isinstance(block, TextBlock))


@dataclass(frozen=True, slots=True)
class ModelCall:
    """What goes to one target: the request with its resolved parameter ``values``.

    ``values`` has parameters by the names of ``imperal_sdk.llm.Parameters``, as JSON.
    """

    request: LlmRequest
    model: str
    base_url: str
    values: dict[str, JsonValue]
    streamed: bool = False


class ParsedEmbedding(NamedTuple):
    """``model`` is what the upstream says it ran."""

    vectors: tuple[tuple[float, ...], ...]
    model: str
    usage: Usage


class StreamDecoder(Protocol):
    """A streamed answer, read as its bytes come: sans-IO, split anywhere."""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The deltas that are whole now, as JSON objects in the shape of ``imperal_sdk.llm.Delta``, without usage
        and stop. (No object per chunk is validated: a stream has thousands.) Raises ``UpstreamError``."""
        ...

    def finish(self) -> Parsed:
        """The whole answer, once the upstream has closed. Raises ``MalformedError`` if it was cut."""
        ...

    def so_far(self) -> Usage:
        """What was used until now: stated, or estimated and marked as not exact."""
        ...


@runtime_checkable
class Provider(Protocol):
    """A dialect: builds a request, reads a reply.

    ``key_header`` and ``key_format`` say where egress puts the key; a dialect never sees it.
    """

    key_header: str
    key_format: str

    def accepts(self, model: str) -> frozenset[str]:
        """The parameters this model takes."""
        ...

    def defaults(self, model: str) -> Parameters:
        """What the dialect requires even if no layer says it."""
        ...

    def build(self, call: ModelCall) -> httpx.Request: ...

    def parse(self, reply: Reply, request: LlmRequest) -> Parsed:
        """Raises ``UpstreamError``."""
        ...

    def decoder(self, request: LlmRequest) -> StreamDecoder:
        """Reads the body of a 200 to a request that was built with ``streamed``; any other status goes to ``parse``."""
        ...

    def build_embedding(self, texts: Sequence[str], model: str, base_url: str) -> httpx.Request:
        """Raises ``RefusedError`` if the dialect has no embeddings."""
        ...

    def parse_embedding(self, reply: Reply, texts: Sequence[str]) -> ParsedEmbedding:
        """One vector for each of the texts that were sent, in their order. Raises ``UpstreamError``."""
        ...


@dataclass(frozen=True, slots=True)
class Vendor:
    """One value of a binding's ``provider``: a dialect, where it usually is, and whether it needs a key."""

    name: str
    dialect: Provider
    base_url: str = ""
    needs_key: bool = True


def json_object(body: bytes) -> dict[str, Any]:
    """Raises ``MalformedError``."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedError("the model's server answered something that is not JSON") from None
    if not isinstance(value, dict):
        raise MalformedError("the model's server answered JSON that is not an object")
    return value


def refused(reply: Reply) -> UpstreamError:
    """The error for a reply that is not 200, in words for the one who configured the model."""
    detail = _detail(reply.body)
    said = f" ({detail})" if detail else ""
    match reply.status:
        case 401 | 403:
            return RefusedError(f"the model's server refused the key: {reply.status}{said}")
        case 404:
            return RefusedError(f"the model's server does not know this model or address: 404{said}")
        case 408 | 409 | 425 | 500 | 502 | 503 | 504 | 529:
            return UnavailableError(f"the model's server is not available: {reply.status}{said}")
        case 429:
            return RateLimitedError(f"the model's server limits the rate: 429{said}")
        case status if 300 <= status < 400:
            return RefusedError(f"the model's server answered with a redirect ({status}); redirects are not followed")
        case status if status >= 500:
            return UnavailableError(f"the model's server failed: {status}{said}")
        case status:
            return RefusedError(f"the model's server refused the request: {status}{said}")


def _detail(body: bytes) -> str:
    try:
        error = orjson.loads(body)["error"]
        text = error["message"] if isinstance(error, dict) else error
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
    if not isinstance(text, str):
        return ""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:_DETAIL_CHARACTERS_MAX]


def token_count(value: object) -> int:
    """A count as an upstream states it. Raises ``MalformedError`` for what is no count."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**40:
        raise MalformedError("the model's server stated a token count that is not one")
    return value


def optional_count(value: object) -> int:
    """A count that an upstream may leave out or set to null."""
    return 0 if value is None else token_count(value)


def stated_model(body: dict[str, Any]) -> str:
    """The model that the upstream says it ran, or nothing."""
    model = body.get("model")
    return model if isinstance(model, str) else ""


def estimated_usage(request: LlmRequest, text: str) -> Usage:
    """For servers that do not count: four characters a token, marked as not exact."""
    asked = _tokens(request.system) + sum(_tokens(message.text) + 4 for message in request.messages)
    return Usage(input_tokens=asked, output_tokens=_tokens(text), exact=False)


def most_input_tokens(request: LlmRequest) -> int:
    """An upper bound: no tokenizer makes more than one token of a byte, and templates add a few."""
    texts = [request.system, *(message.text for message in request.messages)]
    return sum(len(text.encode()) + _TEMPLATE_TOKENS for text in texts)


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARACTERS_PER_TOKEN)
