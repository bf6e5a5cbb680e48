"""OpenAI's Chat Completions (https://platform.openai.com/docs/api-reference/chat), which most others speak too."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import httpx
import orjson
from pydantic import JsonValue

from imperal_host.errors import MalformedError
from imperal_host.gateway.providers import openai_reply, openai_request
from imperal_host.gateway.providers.base import (
    ModelCall,
    Parsed,
    ParsedEmbedding,
    Reply,
    StreamDecoder,
    embedded_usage,
    json_object,
    stated_model,
    token_count,
    vectors_of,
)
from imperal_host.gateway.providers.refusal import refused
from imperal_sdk.llm import LlmRequest, Parameters, Usage

SAMPLING = frozenset(Parameters.model_fields) - {"thinking"}
# Reasoning models take no sampling parameters and call the output bound by another name.
_REASONING = re.compile(r"(?:.*/)?(?:o[1-9]|gpt-[5-9])")
_AZURE_VERSION = "2024-10-21"


@dataclass(frozen=True, slots=True)
class Thinking:
    """What is added to the body for models whose name matches, to turn thinking off and on."""

    models: re.Pattern[str]
    off: Mapping[str, Any]
    on: Mapping[str, Any]


OPENAI_THINKING = (
    Thinking(re.compile(r"(?:.*/)?gpt-[5-9].*-chat"), {}, {}),
    Thinking(re.compile(r"(?:.*/)?gpt-5(?!\.)"), {"reasoning_effort": "minimal"}, {"reasoning_effort": "medium"}),
    Thinking(re.compile(r"(?:.*/)?gpt-[5-9]"), {"reasoning_effort": "none"}, {"reasoning_effort": "medium"}),
    Thinking(re.compile(r"(?:.*/)?o1-(?:mini|preview)"), {}, {}),
    Thinking(re.compile(r"(?:.*/)?o[1-9]"), {"reasoning_effort": "low"}, {"reasoning_effort": "medium"}),
)
_JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class OpenAI:
    """The differences between vendors, as data.

    ``schema``: how an answer of a JSON Schema is asked for. ``says_usage``: whether ``stream_options`` is known.
    ``thinking``: the first that matches the model counts; without a match the parameter is not taken.
    """

    accepted: frozenset[str] = SAMPLING
    schema: Literal["json_schema", "json_object", "tool"] = "json_schema"
    thinking: tuple[Thinking, ...] = OPENAI_THINKING
    names: Mapping[str, str] = field(default_factory=dict)
    says_usage: bool = True
    thinking_back: bool = False
    key_header: str = "authorization"
    key_format: str = "Bearer {}"

    def accepts(self, model: str) -> frozenset[str]:
        sampling = frozenset({"max_tokens"}) if _REASONING.match(model) else self.accepted
        thinking = self._thinking(model)
        return sampling | {"thinking"} if thinking and (thinking.on or thinking.off) else sampling

    def defaults(self, model: str) -> Parameters:
        return Parameters()

    def build(self, call: ModelCall) -> httpx.Request:
        request = call.request
        words, forced = self.schema == "json_object", self.schema == "tool"
        body: dict[str, Any] = {
            "model": call.model,
            "messages": openai_request.turns(request, schema_in_words=words, thinking_back=self.thinking_back),
            **openai_request.tools(request, forced_schema=forced),
            **self._parameters(call.model, call.values),
        }
        if request.response_schema and words:
            body["response_format"] = {"type": "json_object"}
        elif not forced:
            body |= openai_request.json_schema_format(request)
        if call.streamed:
            body["stream"] = True
            if self.says_usage:
                body["stream_options"] = {"include_usage": True}
        return post(self.address(call.base_url, call.model, "chat/completions"), body)

    def parse(self, reply: Reply, request: LlmRequest) -> Parsed:
        if reply.status != 200:
            raise refused(reply.status, reply.body, reply.retry_after_seconds)
        return openai_reply.parsed(json_object(reply.body), request)

    def decoder(self, request: LlmRequest) -> StreamDecoder:
        return openai_reply.OpenAIDecoder(request)

    def build_embedding(self, texts: Sequence[str], model: str, base_url: str) -> httpx.Request:
        body = {"model": model, "input": list(texts), "encoding_format": "float"}
        return post(self.address(base_url, model, "embeddings"), body)

    def parse_embedding(self, reply: Reply, texts: Sequence[str]) -> ParsedEmbedding:
        if reply.status != 200:
            raise refused(reply.status, reply.body, reply.retry_after_seconds)
        body = json_object(reply.body)
        try:
            rows = sorted(enumerate(body["data"]), key=lambda item: item[1].get("index", item[0]))
            vectors = vectors_of([row["embedding"] for _, row in rows], texts)
            counts = body.get("usage")
            usage = embedded_usage(texts)
            if counts:
                usage = Usage(input_tokens=token_count(counts["prompt_tokens"]), output_tokens=0)
        except (KeyError, TypeError, AttributeError):
            raise MalformedError("the model's server answered something that is not a list of embeddings") from None
        return ParsedEmbedding(vectors, stated_model(body), usage)

    def address(self, base_url: str, model: str, path: str) -> str:
        return f"{base_url.rstrip('/')}/{path}"

    def _parameters(self, model: str, values: Mapping[str, JsonValue]) -> dict[str, Any]:
        names = {"stop_sequences": "stop", **self.names}
        if _REASONING.match(model):
            names["max_tokens"] = "max_completion_tokens"
        body: dict[str, Any] = {names.get(name, name): value for name, value in values.items() if name != "thinking"}
        rule = self._thinking(model)
        if rule and values.get("thinking") in ("off", "on"):
            body |= rule.off if values["thinking"] == "off" else rule.on
        return body

    def _thinking(self, model: str) -> Thinking | None:
        return next((rule for rule in self.thinking if rule.models.match(model)), None)


@dataclass(frozen=True)
class AzureOpenAI(OpenAI):
    """Azure OpenAI (https://learn.microsoft.com/azure/ai-foundry/openai/reference): the key in a header of its own.

    A base URL that is the resource's gets the v1 path, which takes the deployment as the model. One that ends in
    ``/openai/deployments`` or ``/openai/deployments/<name>`` is the older way: dated, the deployment in the path.
    """

    key_header: str = "api-key"
    key_format: str = "{}"

    def address(self, base_url: str, model: str, path: str) -> str:
        base = base_url.rstrip("/")
        if base.endswith("/openai/deployments"):
            base = f"{base}/{model}"
        if "/openai/deployments/" in base:
            return f"{base}/{path}?api-version={_AZURE_VERSION}"
        return f"{base.removesuffix('/v1').removesuffix('/openai')}/openai/v1/{path}"


def post(address: str, body: dict[str, Any]) -> httpx.Request:
    return httpx.Request("POST", _url(address), content=orjson.dumps(body), headers=_JSON)


@lru_cache(1_024)
def _url(address: str) -> httpx.URL:
    """Parsing one costs more than all the rest of a request."""
    return httpx.URL(address)
