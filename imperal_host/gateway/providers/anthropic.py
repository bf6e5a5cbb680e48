"""Anthropic's Messages API (https://docs.anthropic.com/en/api/messages)."""

import httpx

from imperal_host.errors import MalformedError
from imperal_host.gateway.providers.base import (
    ModelCall,
    Parsed,
    Reply,
    estimated_usage,
    json_object,
    optional_count,
    refused,
    stated_model,
    token_count,
)
from imperal_sdk.llm import LlmRequest, Parameters, TextBlock, Usage

_VERSION = "2023-06-01"
_ACCEPTED = frozenset({"temperature", "max_tokens", "top_p", "stop_sequences"})


class Anthropic:
    key_header = "x-api-key"
    key_format = "{}"

    def accepts(self, model: str) -> frozenset[str]:
        return _ACCEPTED

    def defaults(self, model: str) -> Parameters:
        """``max_tokens`` is a required member of the request."""
        return Parameters(max_tokens=1024)

    def build(self, call: ModelCall) -> httpx.Request:
        request = call.request
        turns = [{"role": message.role, "content": message.text} for message in request.messages]
        body: dict[str, object] = {"model": call.model, "messages": turns, **call.values}
        if request.system:
            body["system"] = request.system
        root = call.base_url.rstrip("/").removesuffix("/v1")
        return httpx.Request("POST", f"{root}/v1/messages", json=body, headers={"anthropic-version": _VERSION})

    def parse(self, reply: Reply, request: LlmRequest) -> Parsed:
        if reply.status != 200:
            raise refused(reply)
        body = json_object(reply.body)
        try:
            text = "".join(block["text"] for block in body["content"] if block["type"] == "text")
            counts = body.get("usage")
            usage = estimated_usage(request, text)
            if counts:
                cached = optional_count(counts.get("cache_read_input_tokens"))
                written = optional_count(counts.get("cache_creation_input_tokens"))
                usage = Usage(
                    input_tokens=token_count(counts["input_tokens"]) + cached + written,
                    output_tokens=token_count(counts["output_tokens"]),
                    cached_input_tokens=cached,
                )
            stop = body.get("stop_reason") or "end_turn"
        except (KeyError, TypeError, AttributeError):
            raise MalformedError("the model's server answered something that is not a message") from None
        if not isinstance(stop, str):
            raise MalformedError("the model's server answered something that is not a message")
        return Parsed((TextBlock(text=text),), stated_model(body), stop, usage)
