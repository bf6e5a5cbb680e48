"""What a Chat Completions server answers, whole and streamed."""

from typing import Any

import orjson

from imperal_host.errors import MalformedError
from imperal_host.gateway.providers.answer import Answer, Delta
from imperal_host.gateway.providers.base import Parsed, estimated_usage, optional_count, stated_model, token_count
from imperal_host.gateway.providers.refusal import refused_in_stream
from imperal_host.gateway.providers.sse import EventStream
from imperal_sdk.llm import LlmRequest, Usage

_STOP_REASON = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_THOUGHTS = ("reasoning_content", "reasoning")  # DeepSeek's word, and OpenRouter's
_NO_COMPLETION = "the model's server answered something that is not a chat completion"


def parsed(body: dict[str, Any], request: LlmRequest) -> Parsed:
    """Raises ``MalformedError``."""
    gathering = _Gathering(request)
    try:
        choice = body["choices"][0]
        message = choice["message"]
        gathering.take(message)
        gathering.finish(choice.get("finish_reason"))
        gathering.count(body.get("usage"))
    except (KeyError, IndexError, TypeError, AttributeError):
        raise MalformedError(_NO_COMPLETION) from None
    return gathering.parsed(stated_model(body))


class OpenAIDecoder:
    """The answer is whole once a finish reason or ``[DONE]`` was seen: servers leave out either.

    What comes after ``[DONE]`` is not read.
    """

    def __init__(self, request: LlmRequest) -> None:
        self._events = EventStream()
        self._gathering = _Gathering(request)
        self._model = ""
        self._done = False

    def feed(self, data: bytes) -> list[Delta]:
        deltas: list[Delta] = []
        for event in self._events.feed(data):
            if self._done:
                break
            if event == b"[DONE]":
                self._done = True
            else:
                self._take(event, deltas)
        return deltas

    @property
    def ended(self) -> bool:
        return self._done

    def finish(self) -> Parsed:
        if not (self._done or self._gathering.finished):
            raise MalformedError("the model's server cut its answer short", reason="cut")
        return self._gathering.parsed(self._model)

    def so_far(self) -> Usage:
        return self._gathering.usage()

    def _take(self, event: bytes, deltas: list[Delta]) -> None:
        try:
            chunk = orjson.loads(event)
            choices = chunk.get("choices")
            if choices:
                choice = choices[0]
                delta = choice.get("delta")
                if delta:
                    deltas.extend(self._gathering.take(delta))
                finish = choice.get("finish_reason")
                if finish:
                    self._gathering.finish(finish)
            elif chunk.get("error"):
                raise refused_in_stream(chunk)
            usage = chunk.get("usage")
            if usage:
                self._gathering.count(usage)
            if not self._model:
                self._model = stated_model(chunk)
        except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError):
            raise MalformedError("the model's server streamed something that is not a chat completion") from None


class _Gathering:
    """A message is read as a delta that holds everything: whole and streamed answers cannot differ."""

    def __init__(self, request: LlmRequest) -> None:
        self._request = request
        self._answer = Answer(request)
        self._stated: Usage | None = None
        self._refused = False
        self._calls: dict[int, int] = {}  # the upstream's index -> ours
        self._call_ids: list[str] = []
        self._finish: str | None = None

    @property
    def finished(self) -> bool:
        return self._finish is not None

    def take(self, delta: dict[str, Any]) -> list[Delta]:
        content = delta.get("content")
        if type(content) is str:
            deltas = [self._answer.say(content)] if content else []
            if len(delta) == 1:
                return deltas
        else:
            deltas = self._parts(content) if content is not None else []
        for name in _THOUGHTS:
            thought = delta.get(name)
            if thought and isinstance(thought, str):
                deltas.append(self._answer.think(thought))
                break
        refusal = delta.get("refusal")
        if refusal:
            self._refused = True
            deltas.append(self._answer.say(_text(refusal)))
        for call in delta.get("tool_calls") or ():
            deltas.extend(self._call(call))
        return deltas

    def finish(self, reason: Any) -> None:
        if reason is not None and not isinstance(reason, str):
            raise MalformedError(_NO_COMPLETION)
        self._finish = reason or "stop"

    def count(self, counts: Any) -> None:
        if not counts:
            return
        self._stated = Usage(
            input_tokens=token_count(counts["prompt_tokens"]),
            output_tokens=token_count(counts["completion_tokens"]),
            cached_input_tokens=optional_count((counts.get("prompt_tokens_details") or {}).get("cached_tokens")),
        )

    def usage(self) -> Usage:
        return self._stated or estimated_usage(self._request, self._answer.written())

    def parsed(self, model: str) -> Parsed:
        finish = self._finish or "stop"
        stop = self._answer.stop_reason("refusal" if self._refused else _STOP_REASON.get(finish, finish))
        return Parsed(self._answer.content(stop), model, stop, self.usage())

    def _parts(self, content: Any) -> list[Delta]:
        """Mistral's reasoning models answer in a list of parts."""
        deltas: list[Delta] = []
        for part in content:
            if part["type"] == "thinking":
                deltas.extend(self._answer.think(_text(inner["text"])) for inner in part["thinking"])
            elif part["type"] == "text":
                deltas.append(self._answer.say(_text(part["text"])))
        return deltas

    def _call(self, call: dict[str, Any]) -> list[Delta]:
        """One part of a tool call. Its index may be missing, or 0 for all: a new id with a name begins a new one."""
        function = call.get("function") or {}
        given_id, name, arguments = call.get("id") or "", function.get("name") or "", function.get("arguments")
        index = call.get("index")
        if index is None:
            index = len(self._call_ids) if name else max(self._calls, default=0)
        which = self._calls.get(index)
        deltas: list[Delta] = []
        if which is None or (name and given_id and given_id != self._call_ids[which]):
            which = self._calls[index] = len(self._call_ids)
            self._call_ids.append(_text(given_id))
            begun = self._answer.use(given_id, _text(name))
            deltas.extend([begun] if begun else [])
        if arguments:
            part = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
            deltas.append(self._answer.argue(which, part))
        return deltas


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise MalformedError(_NO_COMPLETION)
    return value
