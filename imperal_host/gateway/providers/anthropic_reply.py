"""What a Messages server answers, whole and streamed (https://docs.anthropic.com/en/api/messages-streaming)."""

from collections.abc import Mapping
from typing import Any

import orjson

from imperal_host.errors import MalformedError
from imperal_host.gateway.providers.answer import Delta, is_answer_tool, tool_use, unique_id
from imperal_host.gateway.providers.base import Parsed, estimated_usage, stated_model, token_count
from imperal_host.gateway.providers.refusal import refused_in_stream
from imperal_host.gateway.providers.sse import EventStream
from imperal_sdk.llm import CompletionBlock, LlmRequest, TextBlock, ThinkingBlock, Usage

_NO_MESSAGE = "the model's server answered something that is not a message"
_STOP_REASON = {"model_context_window_exceeded": "max_tokens"}
# Stands in front of the data of a redacted thought, which is given back in the place of a signature.
REDACTED = "redacted_thinking:"
_COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def parsed(body: dict[str, Any], request: LlmRequest) -> Parsed:
    """Raises ``MalformedError``."""
    gathering = _Gathering(request)
    try:
        for index, block in enumerate(body["content"]):
            gathering.begin(index, block)
        gathering.stop(body.get("stop_reason"))
        gathering.count(body.get("usage"))
    except (KeyError, TypeError, AttributeError):
        raise MalformedError(_NO_MESSAGE) from None
    return gathering.parsed(stated_model(body))


class AnthropicDecoder:
    """The answer is whole once ``message_stop`` came, or a stop reason: some servers leave the former out."""

    def __init__(self, request: LlmRequest) -> None:
        self._events = EventStream()
        self._gathering = _Gathering(request)
        self._model = ""
        self._whole = False
        self.ended = False

    def feed(self, data: bytes) -> list[Delta]:
        deltas: list[Delta] = []
        for event in self._events.feed(data):
            try:
                self._take(orjson.loads(event), deltas)
            except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
                raise MalformedError("the model's server streamed something that is not a message") from None
        return deltas

    def finish(self) -> Parsed:
        if not self._whole:
            raise MalformedError("the model's server cut its answer short", reason="cut")
        return self._gathering.parsed(self._model)

    def so_far(self) -> Usage:
        return self._gathering.usage(whole=self._whole)

    def _take(self, event: dict[str, Any], deltas: list[Delta]) -> None:
        """Events of a kind that is not known are passed over, as the API's versioning policy asks."""
        match event["type"]:
            case "content_block_delta":
                delta = self._gathering.more(event["index"], event["delta"])
                if delta:
                    deltas.append(delta)
            case "content_block_start":
                deltas.extend(self._gathering.begin(event["index"], event["content_block"]))
            case "message_start":
                self._model = stated_model(event["message"])
                self._gathering.count(event["message"].get("usage"))
            case "message_delta":
                self._gathering.count(event.get("usage"))
                stop = event["delta"].get("stop_reason")
                if stop:
                    self._gathering.stop(stop)
                    self._whole = True
            case "message_stop":
                self._whole = self.ended = True
            case "error":
                raise refused_in_stream(event)


class _Part:
    """One content block in the making. ``index`` counts the tool uses."""

    def __init__(self, kind: str, use_id: str = "", name: str = "", index: int = 0) -> None:
        self.kind = kind
        self.use_id = use_id
        self.name = name
        self.index = index
        self.text: list[str] = []
        self.signature: list[str] = []


class _Gathering:
    def __init__(self, request: LlmRequest) -> None:
        self._request = request
        self._parts: dict[int, _Part] = {}
        self._ids: set[str] = set()
        self._uses = 0
        self._answered_by_tool = False
        self._counts: dict[str, int] = {}
        self._stop = "end_turn"

    def begin(self, index: int, block: Mapping[str, Any]) -> list[Delta]:
        """A block begins, with what it already has: all of it in a whole reply, usually nothing in a stream."""
        match block["type"]:
            case "text":
                part = self._parts[index] = _Part("text")
                return self._say(part, block.get("text"))
            case "thinking":
                part = self._parts[index] = _Part("thinking")
                part.signature.append(_text(block.get("signature") or ""))
                return self._think(part, block.get("thinking"))
            case "redacted_thinking":
                part = self._parts[index] = _Part("thinking")
                part.signature.append(REDACTED + _text(block["data"]))
                return []
            case "tool_use":
                return self._use(index, block)
        self._parts[index] = _Part("other")  # a server's tool: nothing of ours
        return []

    def more(self, index: int, delta: Mapping[str, Any]) -> Delta | None:
        part = self._parts[index]
        match delta["type"]:
            case "text_delta" if part.kind in ("text", "other"):
                return next(iter(self._say(part, delta["text"])), None) if part.kind == "text" else None
            case "input_json_delta" if part.kind == "tool_use":
                return self._argue(part, _text(delta["partial_json"]))
            case "input_json_delta" if part.kind == "text":
                return next(iter(self._say(part, delta["partial_json"])), None)
            case "thinking_delta" if part.kind == "thinking":
                return next(iter(self._think(part, delta["thinking"])), None)
            case "signature_delta" if part.kind == "thinking":
                part.signature.append(_text(delta["signature"]))
        return None

    def stop(self, reason: Any) -> None:
        if not isinstance(reason or "", str):
            raise MalformedError(_NO_MESSAGE)
        self._stop = _STOP_REASON.get(reason, reason) or "end_turn"

    def count(self, counts: Any) -> None:
        """Counts are cumulative: the last that is stated holds."""
        for name in _COUNTS:
            if counts and counts.get(name) is not None:
                self._counts[name] = token_count(counts[name])
        if counts and not {"input_tokens", "output_tokens"} <= self._counts.keys():
            raise MalformedError("the model's server stated a usage without its token counts")

    def usage(self, *, whole: bool = True) -> Usage:
        estimate = estimated_usage(self._request, self._written())
        if not self._counts:
            return estimate
        cached = self._counts.get("cache_read_input_tokens", 0)
        written = self._counts.get("cache_creation_input_tokens", 0)
        stated = self._counts["output_tokens"]
        return Usage(
            input_tokens=self._counts["input_tokens"] + cached + written,
            output_tokens=stated if whole else max(stated, estimate.output_tokens),
            cached_input_tokens=cached,
            exact=whole,
        )

    def parsed(self, model: str) -> Parsed:
        stop = self._stop
        if self._answered_by_tool and not self._uses and stop == "tool_use":
            stop = "end_turn"
        blocks = [self._block(self._parts[index], stop) for index in sorted(self._parts)]
        return Parsed(tuple(block for block in blocks if block), model, stop, self.usage())

    def _block(self, part: _Part, stop: str) -> CompletionBlock | None:
        text = "".join(part.text)
        match part.kind:
            case "text":
                return TextBlock(text=text) if text else None
            case "thinking":
                return ThinkingBlock(thinking=text, signature="".join(part.signature))
            case "tool_use":
                return tool_use(part.use_id, part.name, text, stop)
        return None

    def _say(self, part: _Part, text: Any) -> list[Delta]:
        if not text:
            return []
        part.text.append(_text(text))
        return [{"type": "text", "text": text}]

    def _think(self, part: _Part, text: Any) -> list[Delta]:
        if not text:
            return []
        part.text.append(_text(text))
        return [{"type": "thinking", "thinking": text}]

    def _argue(self, part: _Part, text: str) -> Delta | None:
        if not text:
            return None
        part.text.append(text)
        return {"type": "tool_use", "index": part.index, "partial_json": text}

    def _use(self, index: int, block: Mapping[str, Any]) -> list[Delta]:
        name, given = _text(block["name"]), block.get("input") or {}
        if not 0 < len(name) <= 256 or not isinstance(given, dict):
            raise MalformedError(_NO_MESSAGE)
        whole = orjson.dumps(given).decode() if given else ""
        if is_answer_tool(self._request, name):
            self._answered_by_tool = True
            part = self._parts[index] = _Part("text")
            return self._say(part, whole)
        spare = f"call_{len(self._request.messages)}_{self._uses}"
        use_id = unique_id(_text(block.get("id") or ""), self._ids, spare)
        part = self._parts[index] = _Part("tool_use", use_id, name, self._uses)
        self._uses += 1
        begun: Delta = {"type": "tool_use", "index": part.index, "id": use_id, "name": name, "partial_json": ""}
        more = self._argue(part, whole)
        return [begun, more] if more else [begun]

    def _written(self) -> str:
        return "".join(piece for part in self._parts.values() for piece in (part.name, *part.text))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise MalformedError(_NO_MESSAGE)
    return value
