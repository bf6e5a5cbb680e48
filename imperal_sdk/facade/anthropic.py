"""Anthropic's messages: https://docs.anthropic.com/en/api/messages."""

import json
from typing import Any

from imperal_sdk.facade.refusal import FacadeError, chosen, refused, request_of
from imperal_sdk.llm import Completion, Delta, LlmRequest, TextDelta, ThinkingDelta, ToolUseDelta, Usage

_THINKING = {"enabled": "on", "disabled": "off", "adaptive": "auto"}
_BLOCKS = {
    "text": ("text",),
    "image": ("source",),
    "thinking": ("thinking", "signature"),
    "tool_use": ("id", "name", "input"),
}
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
Body = dict[str, Any]


def request(body: Body) -> LlmRequest:
    """Raises ``FacadeError``."""
    if body.get("mcp_servers") or body.get("container"):
        raise refused("mcp_servers and container are not offered here")
    return request_of(
        {
            "messages": [
                {"role": message.get("role"), "content": _content(message.get("content"))}
                for message in _objects(body.get("messages"), "messages")
            ],
            "system": _system(body.get("system")),
            "model": str(body.get("model", ""))[:256],
            "parameters": _parameters(body),
            "tools": [_tool(tool) for tool in _objects(body.get("tools") or [], "tools")],
            "tool_choice": body.get("tool_choice"),
            "response_schema": _response_schema(body),
        }
    )


def _parameters(body: Body) -> Body:
    said = chosen(body, "max_tokens", "temperature", "top_p", "stop_sequences")
    if (thinking := body.get("thinking")) is not None:
        kind = thinking.get("type") if isinstance(thinking, dict) else None
        if kind not in _THINKING:
            raise refused("thinking: enabled, disabled or adaptive is expected")
        said["thinking"] = _THINKING[kind]
    return said


def _system(system: object) -> str:
    if system is None or isinstance(system, str):
        return system or ""
    return "\n\n".join(str(block.get("text", "")) for block in _objects(system, "system"))


def _content(content: object) -> object:
    if isinstance(content, str):
        return content
    return [_block(block) for block in _objects(content, "content") if block.get("type") != "redacted_thinking"]


def _block(block: Body) -> Body:
    """Only what we know of it: cache hints and citations are advice."""
    kind = block.get("type")
    if kind == "tool_result":
        given = block.get("content")
        result = chosen(block, "type", "tool_use_id", "is_error")
        return result | ({} if given is None else {"content": _content(given)})
    if kind not in _BLOCKS:
        raise refused(f"content: a block of type {kind!r} is not offered here")
    return chosen(block, "type", *_BLOCKS[kind])


def _tool(tool: Body) -> Body:
    if tool.get("type") not in (None, "custom"):
        raise refused(f"tools: a tool of type {tool.get('type')!r} is not offered here")
    return chosen(tool, "name", "description", "input_schema")


def _response_schema(body: Body) -> Body | None:
    said = body.get("output_format") or (body.get("output_config") or {}).get("format")
    match said:
        case None:
            return None
        case {"type": "json_schema", "schema": schema}:
            return {"json_schema": schema}
    raise refused("output_config: only a format of json_schema is offered here")


def _objects(value: object, name: str) -> list[Body]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise refused(f"{name}: a list of objects is expected")
    return value


# -- answers


def reply(completion: Completion, answer_id: str) -> Body:
    content = [block.model_dump(mode="json") for block in completion.content]
    return {
        **_message(answer_id, completion.model),
        "content": content,
        "stop_reason": completion.stop_reason,
        "usage": _usage(completion.usage),
    }


def _message(answer_id: str, model: str) -> Body:
    return {
        "id": answer_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


def _usage(usage: Usage) -> Body:
    """Anthropic counts what came from its cache apart."""
    return {
        "input_tokens": max(0, usage.input_tokens - usage.cached_input_tokens),
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "cache_creation_input_tokens": 0,
    }


class Events:
    """A streamed answer as server-sent events: one content block after the other."""

    def __init__(self, answer_id: str, model: str) -> None:
        self._start = _message(answer_id, model)
        self._index = -1
        self._open: tuple[str, int] | None = None

    def begin(self) -> bytes:
        return _event({"type": "message_start", "message": self._start})

    def delta(self, delta: Delta) -> bytes:
        match delta:
            case TextDelta():
                block: Body = {"type": "text", "text": ""}
                return self._in(("text", 0), block) + self._delta({"type": "text_delta", "text": delta.text})
            case ThinkingDelta():
                block = {"type": "thinking", "thinking": "", "signature": ""}
                more = {"type": "thinking_delta", "thinking": delta.thinking}
                return self._in(("thinking", 0), block) + self._delta(more)
            case ToolUseDelta():
                block = {"type": "tool_use", "id": delta.id, "name": delta.name, "input": {}}
                begun = self._in(("tool_use", delta.index), block)
                if not delta.partial_json:
                    return begun
                return begun + self._delta({"type": "input_json_delta", "partial_json": delta.partial_json})
        return b""

    def end(self, completion: Completion) -> bytes:
        delta = {"stop_reason": completion.stop_reason, "stop_sequence": None}
        last = {"type": "message_delta", "delta": delta, "usage": _usage(completion.usage)}
        return self._stop() + _event(last) + _event({"type": "message_stop"})

    def error(self, error: FacadeError) -> bytes:
        return _event(error_body(error))

    def _in(self, block: tuple[str, int], start: Body) -> bytes:
        if self._open == block:
            return b""
        ended = self._stop()
        self._index += 1
        self._open = block
        return ended + _event({"type": "content_block_start", "index": self._index, "content_block": start})

    def _stop(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _event({"type": "content_block_stop", "index": self._index})

    def _delta(self, delta: Body) -> bytes:
        return _event({"type": "content_block_delta", "index": self._index, "delta": delta})


def _event(body: Body) -> bytes:
    text = json.dumps(body, ensure_ascii=False).encode(errors="replace")
    return b"event: %s\ndata: %s\n\n" % (str(body["type"]).encode(), text)


def error_body(error: FacadeError) -> Body:
    return {"type": "error", "error": {"type": _ERRORS.get(error.status, "api_error"), "message": error.message}}


def models_reply(model: str) -> Body:
    data = [{"type": "model", "id": model, "display_name": model, "created_at": "1970-01-01T00:00:00Z"}]
    return {"data": data, "has_more": False, "first_id": model, "last_id": model}
