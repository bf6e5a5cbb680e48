"""OpenAI's Chat Completions (https://platform.openai.com/docs/api-reference/chat), which most others speak too."""

import re

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

_ALL = frozenset(Parameters.model_fields) - {"thinking"}
# Reasoning models take no sampling parameters and call the output bound by another name.
_REASONING = re.compile(r"(?:.*/)?(?:o[1-9]|gpt-5)")
_WIRE_NAME = {"stop_sequences": "stop"}
_STOP_REASON = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


class OpenAI:
    key_header = "authorization"
    key_format = "Bearer {}"

    def __init__(self, accepted: frozenset[str] = _ALL) -> None:
        self._accepted = accepted

    def accepts(self, model: str) -> frozenset[str]:
        return frozenset({"max_tokens"}) if _REASONING.match(model) else self._accepted

    def defaults(self, model: str) -> Parameters:
        return Parameters()

    def build(self, call: ModelCall) -> httpx.Request:
        request, model = call.request, call.model
        system = [{"role": "system", "content": request.system}] if request.system else []
        turns = [{"role": message.role, "content": message.text} for message in request.messages]
        names = {**_WIRE_NAME, "max_tokens": "max_completion_tokens"} if _REASONING.match(model) else _WIRE_NAME
        renamed = {names.get(name, name): value for name, value in call.values.items()}
        body = {"model": model, "messages": [*system, *turns], **renamed}
        return httpx.Request("POST", f"{call.base_url.rstrip('/')}/chat/completions", json=body)

    def parse(self, reply: Reply, request: LlmRequest) -> Parsed:
        if reply.status != 200:
            raise refused(reply)
        body = json_object(reply.body)
        try:
            choice = body["choices"][0]
            text = choice["message"].get("content") or ""
            finish = choice.get("finish_reason") or "stop"
            counts = body.get("usage")
            usage = estimated_usage(request, text)
            if counts:
                cached = (counts.get("prompt_tokens_details") or {}).get("cached_tokens")
                usage = Usage(
                    input_tokens=token_count(counts["prompt_tokens"]),
                    output_tokens=token_count(counts["completion_tokens"]),
                    cached_input_tokens=optional_count(cached),
                )
        except (KeyError, IndexError, TypeError, AttributeError):
            raise MalformedError("the model's server answered something that is not a chat completion") from None
        if not (isinstance(text, str) and isinstance(finish, str)):
            raise MalformedError("the model's server answered something that is not a chat completion")
        return Parsed((TextBlock(text=text),), stated_model(body), _STOP_REASON.get(finish, finish), usage)
