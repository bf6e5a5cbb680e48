"""Ollama's own API (https://docs.ollama.com/api/chat): unlike its OpenAI-compatible one it takes ``think``,
``keep_alive`` and the size of the context."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
from pydantic import JsonValue

from imperal_host.errors import MalformedError, RefusedError
from imperal_host.gateway.providers.answer import Answer, Delta
from imperal_host.gateway.providers.base import (
    ModelCall,
    Parsed,
    ParsedEmbedding,
    Reply,
    StreamDecoder,
    embedded_usage,
    estimated_usage,
    json_object,
    optional_count,
    stated_model,
    token_count,
    vectors_of,
)
from imperal_host.gateway.providers.lines import Lines
from imperal_host.gateway.providers.openai import post
from imperal_host.gateway.providers.openai_request import tools as openai_tools
from imperal_host.gateway.providers.refusal import refused, refused_in_stream
from imperal_sdk.llm import (
    Base64Source,
    ImageBlock,
    LlmRequest,
    Message,
    Parameters,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    Usage,
)

_STOP_REASON = {"stop": "end_turn", "length": "max_tokens"}
_OPTION = {"max_tokens": "num_predict", "stop_sequences": "stop"}
_NO_ANSWER = "the model's server answered something that is not a chat reply of Ollama's"


@dataclass(frozen=True)
class Ollama:
    """``keep_alive`` (such as "30m") and ``context_tokens`` are left to the server if they are not set.

    Sends no key of its own; behind a proxy that wants one it goes into the usual header.
    """

    keep_alive: str = ""
    context_tokens: int = 0
    key_header: str = "authorization"
    key_format: str = "Bearer {}"

    def accepts(self, model: str) -> frozenset[str]:
        return frozenset(Parameters.model_fields)

    def defaults(self, model: str) -> Parameters:
        return Parameters()

    def build(self, call: ModelCall) -> httpx.Request:
        request = call.request
        body: dict[str, Any] = {"model": call.model, "messages": list(_turns(request)), "stream": call.streamed}
        if offered := _tools(request):
            body["tools"] = offered
        if request.response_schema:
            body["format"] = request.response_schema.json_schema
        body |= self._settings(call.model, call.values)
        return post(_address(call.base_url, "chat"), body)

    def parse(self, reply: Reply, request: LlmRequest) -> Parsed:
        if reply.status != 200:
            raise refused(reply.status, reply.body, reply.retry_after_seconds)
        gathering = _Gathering(request)
        gathering.take(json_object(reply.body))
        return gathering.parsed()

    def decoder(self, request: LlmRequest) -> StreamDecoder:
        return OllamaDecoder(request)

    def build_embedding(self, texts: Sequence[str], model: str, base_url: str) -> httpx.Request:
        body: dict[str, Any] = {"model": model, "input": list(texts)}
        if self.keep_alive:
            body["keep_alive"] = self.keep_alive
        return post(_address(base_url, "embed"), body)

    def parse_embedding(self, reply: Reply, texts: Sequence[str]) -> ParsedEmbedding:
        if reply.status != 200:
            raise refused(reply.status, reply.body, reply.retry_after_seconds)
        body = json_object(reply.body)
        rows = body.get("embeddings")
        if not isinstance(rows, list):
            raise MalformedError("the model's server answered something that is not a list of embeddings")
        usage = embedded_usage(texts)
        if body.get("prompt_eval_count") is not None:
            usage = Usage(input_tokens=token_count(body["prompt_eval_count"]), output_tokens=0)
        return ParsedEmbedding(vectors_of(rows, texts), stated_model(body), usage)

    def _settings(self, model: str, values: Mapping[str, JsonValue]) -> dict[str, Any]:
        options: dict[str, Any] = {
            _OPTION.get(name, name): value for name, value in values.items() if name != "thinking"
        }
        if self.context_tokens:
            options["num_ctx"] = self.context_tokens
        settings: dict[str, Any] = {"options": options} if options else {}
        if self.keep_alive:
            settings["keep_alive"] = self.keep_alive
        thinking = values.get("thinking")
        if thinking in ("on", "off"):
            # gpt-oss always thinks, and takes only how much
            levels = {"on": "medium", "off": "low"} if "gpt-oss" in model else {"on": True, "off": False}
            settings["think"] = levels[thinking]
        return settings


class OllamaDecoder:
    """A line a chunk; the last one says ``done``."""

    def __init__(self, request: LlmRequest) -> None:
        self._lines = Lines()
        self._gathering = _Gathering(request)

    def feed(self, data: bytes) -> list[Delta]:
        deltas: list[Delta] = []
        for line in self._lines.feed(data):
            self._take(line, deltas)
        return deltas

    @property
    def ended(self) -> bool:
        return self._gathering.done

    def finish(self) -> Parsed:
        self._take(self._lines.rest(), [])  # the end of the stream ends a line as well; a cut one is no JSON
        return self._gathering.parsed()

    def so_far(self) -> Usage:
        return self._gathering.usage()

    def _take(self, line: bytes, deltas: list[Delta]) -> None:
        if self._gathering.done or not line.strip():
            return
        try:
            chunk = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise MalformedError("the model's server streamed a line that is not JSON", reason="cut") from None
        if not isinstance(chunk, dict):
            raise MalformedError(_NO_ANSWER)
        deltas.extend(self._gathering.take(chunk))


class _Gathering:
    """A whole reply is a stream of one chunk."""

    def __init__(self, request: LlmRequest) -> None:
        self._request = request
        self._answer = Answer(request)
        self._model = ""
        self._stop = "stop"
        self._stated: Usage | None = None
        self.done = False

    def take(self, chunk: dict[str, Any]) -> list[Delta]:
        if chunk.get("error"):
            raise refused_in_stream(chunk)
        try:
            deltas = self._message(chunk.get("message") or {})
            if chunk.get("done"):
                self._end(chunk)
        except (KeyError, TypeError, AttributeError):
            raise MalformedError(_NO_ANSWER) from None
        self._model = self._model or stated_model(chunk)
        return deltas

    def usage(self) -> Usage:
        return self._stated or estimated_usage(self._request, self._answer.written())

    def parsed(self) -> Parsed:
        if not self.done:
            raise MalformedError("the model's server cut its answer short", reason="cut")
        stop = self._answer.stop_reason(_STOP_REASON.get(self._stop, self._stop))
        return Parsed(self._answer.content(stop), self._model, stop, self.usage())

    def _message(self, message: dict[str, Any]) -> list[Delta]:
        deltas: list[Delta] = []
        for name, take in (("thinking", self._answer.think), ("content", self._answer.say)):
            part = message.get(name)
            if part:
                if not isinstance(part, str):
                    raise MalformedError(_NO_ANSWER)
                deltas.append(take(part))
        for call in message.get("tool_calls") or ():
            function = call["function"]
            given = call.get("id")
            if not isinstance(function["name"], str) or not isinstance(function.get("arguments") or {}, dict):
                raise MalformedError(_NO_ANSWER)
            begun = self._answer.use(given if isinstance(given, str) else "", function["name"])
            arguments = orjson.dumps(function.get("arguments") or {}).decode()
            deltas.extend([begun] if begun else [])
            deltas.append(self._answer.argue(len(self._answer.uses) - 1, arguments))
        return deltas

    def _end(self, chunk: dict[str, Any]) -> None:
        self.done = True
        stop = chunk.get("done_reason") or "stop"
        if not isinstance(stop, str):
            raise MalformedError(_NO_ANSWER)
        self._stop = stop
        if chunk.get("eval_count") is not None:
            # a prompt that was in the cache is not counted
            self._stated = Usage(
                input_tokens=optional_count(chunk.get("prompt_eval_count")),
                output_tokens=token_count(chunk["eval_count"]),
            )


def _address(base_url: str, path: str) -> str:
    return f"{base_url.rstrip('/').removesuffix('/v1').removesuffix('/api')}/api/{path}"


def _tools(request: LlmRequest) -> list[dict[str, Any]]:
    """There is no ``tool_choice``: the named tool is the only one offered, or none is."""
    choice = request.tool_choice
    listed: list[dict[str, Any]] = openai_tools(request, forced_schema=False).get("tools", [])
    if choice and choice.type == "none":
        return []
    if choice and choice.type == "tool":
        return [tool for tool in listed if tool["function"]["name"] == choice.name]
    return listed


def _turns(request: LlmRequest) -> Iterator[dict[str, Any]]:
    names = {
        block.id: block.name
        for message in request.messages
        for block in message.blocks
        if isinstance(block, ToolUseBlock)
    }
    if request.system:
        yield {"role": "system", "content": request.system}
    for message in request.messages:
        if message.role == "assistant":
            yield _assistant(message)
            continue
        pictures: list[str] = []
        results = 0
        for block in message.blocks:
            if isinstance(block, ToolResultBlock):
                results += 1
                text = f"Error: {block.text}" if block.is_error else block.text
                yield {"role": "tool", "tool_name": names.get(block.tool_use_id, ""), "content": text}
                inner = () if isinstance(block.content, str) else block.content
                pictures.extend(_picture(part) for part in inner if isinstance(part, ImageBlock))
            elif isinstance(block, ImageBlock):
                pictures.append(_picture(block))
        spoken = any(isinstance(block, TextBlock) for block in message.blocks)
        if spoken or pictures or not results:
            turn: dict[str, Any] = {"role": "user", "content": message.text}
            yield turn | ({"images": pictures} if pictures else {})


def _assistant(message: Message) -> dict[str, Any]:
    told: dict[str, Any] = {"role": "assistant", "content": message.text}
    thought = "".join(block.thinking for block in message.blocks if isinstance(block, ThinkingBlock))
    uses = [block for block in message.blocks if isinstance(block, ToolUseBlock)]
    if thought:
        told["thinking"] = thought
    if uses:
        told["tool_calls"] = [{"function": {"name": use.name, "arguments": use.input}} for use in uses]
    return told


def _picture(block: ImageBlock) -> str:
    if isinstance(block.source, Base64Source):
        return block.source.data
    raise RefusedError("Ollama takes no pictures by address; send them as base64", reason="no_picture_address")
