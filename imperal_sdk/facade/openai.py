"""OpenAI's chat completions and embeddings: https://platform.openai.com/docs/api-reference/chat."""

import base64
import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from imperal_sdk.facade.refusal import FacadeError, chosen, refused, request_of
from imperal_sdk.llm import (
    Completion,
    Delta,
    Embeddings,
    LlmRequest,
    TextDelta,
    ThinkingDelta,
    ToolUseBlock,
    ToolUseDelta,
    Usage,
)

_FINISH = {"max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter"}
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_THINKING = {"none": "off", "minimal": "off"}
_NOT_OFFERED = ("logprobs", "functions", "function_call", "audio", "web_search_options", "prediction")
Body = dict[str, Any]


def request(body: Body) -> LlmRequest:
    """Raises ``FacadeError``."""
    for name in _NOT_OFFERED:
        if body.get(name):
            raise refused(f"{name} is not offered here")
    if body.get("n") not in (None, 1):
        raise refused("n: one answer at a time is offered here")
    messages = _objects(body.get("messages"), "messages")
    system = [_text(m.get("content")) for m in messages if m.get("role") in ("system", "developer")]
    return request_of(
        {
            "messages": list(_messages(messages)),
            "system": "\n\n".join(system),
            "model": str(body.get("model", ""))[:256],
            "parameters": _parameters(body),
            "tools": [_tool(tool) for tool in _objects(body.get("tools") or [], "tools")],
            "tool_choice": _tool_choice(body),
            "response_schema": _response_schema(body.get("response_format")),
        }
    )


def _parameters(body: Body) -> Body:
    said = chosen(body, "temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "max_tokens")
    if (most := body.get("max_completion_tokens")) is not None:
        said["max_tokens"] = most
    if (stop := body.get("stop")) is not None:
        said["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if (effort := body.get("reasoning_effort")) is not None:
        said["thinking"] = _THINKING.get(str(effort), "on")
    return said


def _messages(messages: Sequence[Body]) -> Iterator[Body]:
    results: list[Body] = []
    for message in messages:
        role, content = message.get("role"), message.get("content")
        if role == "tool":
            results.append(
                {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": _text(content)}
            )
            continue
        if results:
            yield {"role": "user", "content": results}
            results = []
        if role == "user":
            yield {"role": "user", "content": content if isinstance(content, str) else _blocks(content)}
        elif role == "assistant":
            yield {"role": "assistant", "content": _assistant(message)}
        elif role not in ("system", "developer"):
            raise refused(f"messages: a role {role!r} is not known")
    if results:
        yield {"role": "user", "content": results}


def _assistant(message: Body) -> list[Body]:
    content = message.get("content")
    blocks: list[Body] = [{"type": "text", "text": text}] if (text := _text(content)) else []
    for call in _objects(message.get("tool_calls") or [], "tool_calls"):
        function = call.get("function") or {}
        try:
            arguments = json.loads(function.get("arguments") or "{}")
        except (TypeError, ValueError):
            raise refused("tool_calls: arguments are not JSON") from None
        blocks.append({"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": arguments})
    return blocks


def _blocks(parts: object) -> list[Body]:
    blocks: list[Body] = []
    for part in _objects(parts, "content"):
        match part:
            case {"type": "text", "text": text}:
                blocks.append({"type": "text", "text": text})
            case {"type": "image_url", "image_url": {"url": str(url)}}:
                blocks.append({"type": "image", "source": _image(url)})
            case _:
                raise refused(f"content: a part of type {part.get('type')!r} is not offered here")
    return blocks


def _image(url: str) -> Body:
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    kind, _, data = url.removeprefix("data:").partition(";base64,")
    return {"type": "base64", "media_type": kind, "data": data}


def _text(content: object) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(str(part.get("text", "")) for part in _objects(content, "content"))


def _tool(tool: Body) -> Body:
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, dict):
        raise refused(f"tools: a tool of type {tool.get('type')!r} is not offered here")
    said = chosen(function, "name", "description")
    return said | ({"input_schema": function["parameters"]} if function.get("parameters") else {})


def _tool_choice(body: Body) -> Body | None:
    alone = {"disable_parallel_tool_use": True} if body.get("parallel_tool_calls") is False else {}
    match body.get("tool_choice"):
        case None:
            return {"type": "auto", **alone} if alone and body.get("tools") else None
        case {"type": "function", "function": {"name": name}}:
            return {"type": "tool", "name": name, **alone}
        case str(word) if word in _CHOICES:
            return {"type": _CHOICES[word], **alone}
        case other:
            raise refused(f"tool_choice: {str(other)[:100]} is not offered here")


def _response_schema(said: object) -> Body | None:
    match said:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return {"json_schema": {"type": "object"}}
        case {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}:
            return {"name": name, "json_schema": schema}
    raise refused("response_format: only text, json_object and json_schema are offered here")


def _objects(value: object, name: str) -> list[Body]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise refused(f"{name}: a list of objects is expected")
    return value


# -- answers


def reply(completion: Completion, answer_id: str, created: int) -> Body:
    message: Body = {"role": "assistant", "content": completion.text or None, "refusal": None}
    if completion.tool_uses:
        message["tool_calls"] = [_call(use) for use in completion.tool_uses]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(completion)}
    body = {"id": answer_id, "object": "chat.completion", "created": created, "model": completion.model}
    return {**body, "choices": [choice], "usage": _usage(completion.usage)}


def _call(use: ToolUseBlock) -> Body:
    function = {"name": use.name, "arguments": json.dumps(use.input, ensure_ascii=False)}
    return {"id": use.id, "type": "function", "function": function}


def _finish(completion: Completion) -> str:
    return _FINISH.get(completion.stop_reason, "stop")


def _usage(usage: Usage) -> Body:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
    }


class Events:
    """A streamed answer as server-sent events."""

    def __init__(self, body: Body, answer_id: str, created: int, model: str) -> None:
        self._head = {"id": answer_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._with_usage = bool((body.get("stream_options") or {}).get("include_usage"))

    def begin(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def delta(self, delta: Delta) -> bytes:
        match delta:
            case TextDelta():
                return self._chunk({"content": delta.text})
            case ThinkingDelta():
                return self._chunk({"reasoning_content": delta.thinking})
            case ToolUseDelta():
                function = {"arguments": delta.partial_json}
                call: Body = {"index": delta.index, "function": function}
                if delta.id:
                    call |= {"id": delta.id, "type": "function", "function": {"name": delta.name, **function}}
                return self._chunk({"tool_calls": [call]})
        return b""

    def end(self, completion: Completion) -> bytes:
        events = self._chunk({}, _finish(completion))
        if self._with_usage:
            events += _event({**self._head, "choices": [], "usage": _usage(completion.usage)})
        return events + b"data: [DONE]\n\n"

    def error(self, error: FacadeError) -> bytes:
        return _event(error_body(error))

    def _chunk(self, delta: Body, finish: str | None = None) -> bytes:
        return _event({**self._head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _event(body: Body) -> bytes:
    return b"data: %s\n\n" % json.dumps(body, ensure_ascii=False).encode(errors="replace")


def error_body(error: FacadeError) -> Body:
    kind = "rate_limit_error" if error.status == 429 else "invalid_request_error" if error.status < 500 else "api_error"
    return {"error": {"message": error.message, "type": kind, "param": None, "code": error.code}}


# -- embeddings and models


def texts(body: Body) -> list[str]:
    """Raises ``FacadeError``."""
    if body.get("dimensions") is not None:
        raise refused("dimensions: a model's own size is all that is offered here")
    given = body.get("input")
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        raise refused("input: a text, or a list of texts, is expected (no token numbers)")
    return listed


def embeddings_reply(embeddings: Embeddings, body: Body) -> Body:
    packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else list(vector)}
        for index, vector in enumerate(embeddings.vectors)
    ]
    used = embeddings.usage.input_tokens
    return {
        "object": "list",
        "data": data,
        "model": embeddings.model,
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def models_reply(model: str, provider: str) -> Body:
    return {"object": "list", "data": [{"id": model, "object": "model", "created": 0, "owned_by": provider}]}
