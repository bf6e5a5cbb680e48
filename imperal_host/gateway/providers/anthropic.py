"""Anthropic's Messages API (https://docs.anthropic.com/en/api/messages)."""

from collections.abc import Sequence
from typing import Any

import httpx

from imperal_host.errors import RefusedError
from imperal_host.gateway.providers import anthropic_models
from imperal_host.gateway.providers.anthropic_reply import REDACTED, AnthropicDecoder, parsed
from imperal_host.gateway.providers.base import ModelCall, Parsed, ParsedEmbedding, Reply, StreamDecoder, json_object
from imperal_host.gateway.providers.openai import post
from imperal_host.gateway.providers.refusal import refused
from imperal_host.gateway.providers.schema import closed
from imperal_sdk.llm import Block, ImageBlock, LlmRequest, Parameters, TextBlock, ThinkingBlock, ToolResultBlock

# The version of 2026-10-21 refuses temperature and top_p on every model; this one takes them where the model does,
# and has all that is used here (https://platform.claude.com/docs/en/api/versioning).
_VERSION = "2023-06-01"


class Anthropic:
    key_header = "x-api-key"
    key_format = "{}"

    def accepts(self, model: str) -> frozenset[str]:
        return anthropic_models.accepts(model)

    def defaults(self, model: str) -> Parameters:
        """``max_tokens`` is a required member of the request."""
        return Parameters(max_tokens=1024)

    def build(self, call: ModelCall) -> httpx.Request:
        request = call.request
        values = {name: value for name, value in call.values.items() if name != "thinking"}
        turns = [_turn(message.role, message.content) for message in request.messages]
        body: dict[str, Any] = {"model": call.model, "messages": turns, **values}
        if request.system:
            body["system"] = request.system
        body |= _tools(request)
        config = _schema(request, call.model, body)
        choice = body.get("tool_choice", {}).get("type")
        tokens_max = values.get("max_tokens")
        thinking = anthropic_models.thinking(
            call.model,
            call.values.get("thinking"),
            tokens_max if isinstance(tokens_max, int) else 0,
            forced_tool=choice in ("any", "tool"),
        )
        config |= thinking.pop("output_config", {})
        body |= thinking
        if "budget_tokens" in thinking.get("thinking", {}):
            body.pop("temperature", None)  # the two exclude each other
        if config:
            body["output_config"] = config
        if call.streamed:
            body["stream"] = True
        root = call.base_url.rstrip("/").removesuffix("/v1")
        outgoing = post(f"{root}/v1/messages", body)
        outgoing.headers["anthropic-version"] = _VERSION
        return outgoing

    def parse(self, reply: Reply, request: LlmRequest) -> Parsed:
        if reply.status != 200:
            raise refused(reply.status, reply.body, reply.retry_after_seconds)
        return parsed(json_object(reply.body), request)

    def decoder(self, request: LlmRequest) -> StreamDecoder:
        return AnthropicDecoder(request)

    def build_embedding(self, texts: Sequence[str], model: str, base_url: str) -> httpx.Request:
        raise RefusedError(
            "Anthropic has no embeddings; set a model of another provider for the purpose 'embedding'",
            reason="no_embeddings",
        )

    def parse_embedding(self, reply: Reply, texts: Sequence[str]) -> ParsedEmbedding:
        raise RefusedError("Anthropic has no embeddings", reason="no_embeddings")


def _turn(role: str, content: str | tuple[Block, ...]) -> dict[str, Any]:
    """Texts alone are one text. What Anthropic would refuse is left out: empty texts, and thoughts of others."""
    if isinstance(content, str):
        return {"role": role, "content": content}
    if all(isinstance(block, TextBlock) for block in content):
        return {"role": role, "content": "".join(block.text for block in content if isinstance(block, TextBlock))}
    blocks = [told for told in map(_block, content) if told is not None]
    return {"role": role, "content": blocks}


def _block(block: Block) -> dict[str, Any] | None:
    match block:
        case TextBlock():
            return block.model_dump() if block.text else None
        case ThinkingBlock() if block.signature.startswith(REDACTED):
            return {"type": "redacted_thinking", "data": block.signature.removeprefix(REDACTED)}
        case ThinkingBlock():
            return block.model_dump() if block.signature else None
        case ToolResultBlock():
            told: dict[str, Any] = {"type": "tool_result", "tool_use_id": block.tool_use_id}
            content = block.content if isinstance(block.content, str) else _inner(block.content)
            if content:
                told["content"] = content
            return told | ({"is_error": True} if block.is_error else {})
        case _:
            return block.model_dump(mode="json")


def _inner(content: tuple[TextBlock | ImageBlock, ...]) -> list[dict[str, Any]]:
    return [block.model_dump(mode="json") for block in content if not isinstance(block, TextBlock) or block.text]


def _tools(request: LlmRequest) -> dict[str, Any]:
    if not request.tools:
        return {}
    body: dict[str, Any] = {"tools": [tool.model_dump(mode="json", exclude_defaults=True) for tool in request.tools]}
    for tool, told in zip(request.tools, body["tools"], strict=True):
        told["input_schema"] = tool.input_schema
    choice = request.tool_choice
    if choice:
        told = {"type": choice.type}
        if choice.type == "tool":
            told["name"] = choice.name
        if choice.disable_parallel_tool_use and choice.type != "none":
            told["disable_parallel_tool_use"] = True
        body["tool_choice"] = told
    return body


def _schema(request: LlmRequest, model: str, body: dict[str, Any]) -> dict[str, Any]:
    """The output format, if model and schema allow it; else ``body`` gets a tool that must be used."""
    asked = request.response_schema
    if asked is None:
        return {}
    exact = closed(asked.json_schema) if anthropic_models.has_output_format(model) else None
    if exact is not None:
        return {"format": {"type": "json_schema", "schema": exact}}
    body["tools"] = [*body.get("tools", []), {"name": asked.name, "input_schema": asked.json_schema}]
    body["tool_choice"] = {"type": "any"} if request.tools else {"type": "tool", "name": asked.name}
    return {}
