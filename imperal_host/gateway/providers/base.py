"""What a dialect is, and what all of them share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import httpx
import orjson
from pydantic import JsonValue

from imperal_host.errors import MalformedError
from imperal_sdk.llm import CompletionBlock, ImageBlock, LlmRequest, Parameters, TextBlock, Usage

_CHARACTERS_PER_TOKEN = 4
_TEMPLATE_TOKENS = 32
_PICTURE_TOKENS_MAX = 16_384
_READ_BY_THE_MODEL = {"messages", "system", "tools", "response_schema"}


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

    @property
    def ended(self) -> bool:
        """Nothing that matters can follow, whether or not the upstream closes."""
        ...

    def finish(self) -> Parsed:
        """The whole answer, once the upstream has closed or it has ended. Raises ``MalformedError`` if it was cut."""
        ...

    def so_far(self) -> Usage:
        """What was used until now: stated, or estimated and marked as not exact."""
        ...


@runtime_checkable
class Provider(Protocol):
    """A dialect: builds a request, reads a reply.

    ``key_header`` and ``key_format`` say where egress puts the key; a dialect never sees it.
    """

    @property
    def key_header(self) -> str: ...

    @property
    def key_format(self) -> str: ...

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
    asked = len(_asked(request)) // _CHARACTERS_PER_TOKEN + _TEMPLATE_TOKENS
    return Usage(input_tokens=asked, output_tokens=_tokens(text), exact=False)


def most_input_tokens(request: LlmRequest) -> int:
    """An upper bound: no tokenizer makes more than one token of a byte, templates add a few, and a picture that
    is named by its address counts as a large one."""
    pictures = sum(isinstance(block, ImageBlock) for message in request.messages for block in message.blocks)
    return len(_asked(request)) + (len(request.messages) + 1) * _TEMPLATE_TOKENS + pictures * _PICTURE_TOKENS_MAX


def embedded_usage(texts: Sequence[str]) -> Usage:
    """For servers that do not count what they embed."""
    return Usage(input_tokens=sum(map(_tokens, texts)), output_tokens=0, exact=False)


def _asked(request: LlmRequest) -> bytes:
    """All that a model reads of a request. JSON only lengthens it."""
    return request.model_dump_json(include=_READ_BY_THE_MODEL, exclude_defaults=True).encode()


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def vectors_of(rows: list[Any], texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
    """One vector of numbers for each text, all of one length. Raises ``MalformedError``."""
    if len(rows) != len(texts) or not all(isinstance(row, list) and row for row in rows):
        raise MalformedError(f"the model's server answered {len(rows)} vectors for {len(texts)} texts, or empty ones")
    if len({len(row) for row in rows}) != 1 or not all({*map(type, row)} <= {float, int} for row in rows):
        raise MalformedError("the model's server answered vectors of different lengths, or not of numbers")
    return tuple(tuple(map(float, row)) for row in rows)
