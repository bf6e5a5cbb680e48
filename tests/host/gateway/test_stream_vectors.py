"""Streams as the vendors document them, and as servers in the field get them wrong, each with its stated outcome.

Every event is first shown to the vendor's own types: a vector that these refuse is no vector, unless it says so. Then
it is cut at any places, and must come out the same.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from ollama import ChatResponse
from openai.types.chat import ChatCompletionChunk
from pydantic import TypeAdapter

from imperal_host.errors import MalformedError, RateLimitedError, RefusedError, UnansweredError, UpstreamError
from imperal_host.gateway.providers.anthropic import Anthropic
from imperal_host.gateway.providers.base import Parsed, Provider
from imperal_host.gateway.providers.ollama import Ollama
from imperal_host.gateway.providers.openai import OpenAI
from imperal_sdk.llm import LlmRequest, Message, TextBlock, ThinkingBlock, ToolUseBlock, Usage

REQUEST = LlmRequest(messages=(Message(role="user", content="hello"),))
DIALECTS: dict[str, Provider] = {"openai": OpenAI(), "anthropic": Anthropic(), "ollama": Ollama()}
_ANTHROPIC: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
JUDGES: dict[str, Callable[[Any], object]] = {
    "openai": ChatCompletionChunk.model_validate,
    "anthropic": _ANTHROPIC.validate_python,
    "ollama": ChatResponse.model_validate,
}


@dataclass(frozen=True)
class Vector:
    name: str
    dialect: str
    body: bytes
    text: str = ""
    stop: str = "end_turn"
    usage: Usage | None = None  # none: estimated
    tools: tuple[tuple[str, dict[str, Any]], ...] = ()
    thinking: str = ""
    error: type[UpstreamError] | None = None
    genuine: bool = True  # whether the vendor's own types take every event


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


def sse(*events: dict[str, Any] | str, newline: str = "\n", named: bool = False) -> bytes:
    lines = []
    for event in events:
        if isinstance(event, str):
            lines.append(event + newline)
            continue
        name = f"event: {event['type']}{newline}" if named else ""
        lines.append(f"{name}data: {json.dumps(event, ensure_ascii=False)}{newline}{newline}")
    return "".join(lines).encode()


DONE = "data: [DONE]\n"
COUNTED = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
USAGE = Usage(input_tokens=9, output_tokens=3)
LAST = {**chunk(), "choices": [], "usage": COUNTED}


def called(index: int, *, id: str | None = None, name: str | None = None, arguments: str = "") -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": name} if name else {})}
    return chunk(
        {"tool_calls": [{"index": index, **({"id": id, "type": "function"} if id else {}), "function": function}]}
    )


OPENAI = [
    Vector(
        "usage in a last chunk without choices",
        "openai",
        sse(chunk({"role": "assistant", "content": ""}), chunk({"content": "Hel"}), chunk({"content": "lo"}),
            chunk(finish="stop"), LAST, DONE),
        text="Hello",
        usage=USAGE,
    ),
    Vector("no usage at all is estimated", "openai", sse(chunk({"content": "Hello"}), chunk(finish="stop"), DONE), "Hello"),
    Vector(
        "CRLF, comments, other fields, no space after the colon",
        "openai",
        sse(": ping\r", "retry: 10\r", "id: 1\r", "event: message\r", newline="\n")
        + b"data:" + json.dumps(chunk({"content": "Hi"})).encode() + b"\r\n\r\n"
        + sse(chunk(finish="length"), newline="\r\n") + b"data: [DONE]\r\n\r\n",
        text="Hi",
        stop="max_tokens",
    ),
    Vector("CR alone ends a line", "openai", sse(chunk({"content": "Hi"}), chunk(finish="stop"), newline="\r"), "Hi"),
    Vector("a byte order mark", "openai", b"\xef\xbb\xbf" + sse(chunk({"content": "Hi"}), chunk(finish="stop"), DONE), "Hi"),
    Vector("letters of several bytes", "openai", sse(chunk({"content": "Grüße 😀"}), chunk(finish="stop"), DONE), "Grüße 😀"),
    Vector("[DONE] is missing", "openai", sse(chunk({"content": "Hi"}), chunk(finish="stop")), "Hi"),
    Vector("what follows [DONE] is not read", "openai", sse(chunk({"content": "Hi"}, "stop"), DONE, "data: {broken\n"), "Hi"),
    Vector("the finish reason in the last text", "openai", sse(chunk({"content": "Hi"}, "stop"), DONE), "Hi"),
    Vector("content is null", "openai", sse(chunk({"content": None}), chunk({"content": "x"}), chunk(finish="stop"), DONE), "x"),
    Vector("content was filtered", "openai", sse(chunk({"content": "x"}), chunk(finish="content_filter"), DONE), "x", "refusal"),
    Vector(
        "two tools at once, their arguments in pieces",
        "openai",
        sse(chunk({"content": "Let me see."}), called(0, id="a", name="first"), called(1, id="b", name="second"),
            called(0, arguments='{"x"'), called(1, arguments='{"y": "ü'), called(0, arguments=": 1}"),
            called(1, arguments='"}'), chunk(finish="tool_calls"), LAST, DONE),
        text="Let me see.",
        stop="tool_use",
        usage=USAGE,
        tools=(("first", {"x": 1}), ("second", {"y": "ü"})),
    ),
    Vector(
        "a tool without arguments",
        "openai",
        sse(called(0, id="a", name="now"), chunk(finish="tool_calls"), DONE),
        stop="tool_use",
        tools=(("now", {}),),
    ),
    Vector(
        "thoughts, as DeepSeek sends them",
        "openai",
        sse(chunk({"reasoning_content": "Hm."}), chunk({"content": "Yes."}), chunk(finish="stop"), DONE),
        text="Yes.",
        thinking="Hm.",
    ),
    Vector("cut after a text", "openai", sse(chunk({"content": "Hel"})), error=MalformedError),
    Vector("nothing at all", "openai", b"", error=MalformedError),
    Vector("an event that is no JSON", "openai", b"data: {not json\n\n", error=MalformedError, genuine=False),
    Vector("an event that is a list", "openai", b"data: [1]\n\n", error=MalformedError, genuine=False),
    Vector(
        "arguments that are no JSON",
        "openai",
        sse(called(0, id="a", name="f", arguments="{oops"), chunk(finish="tool_calls"), DONE),
        error=MalformedError,
    ),
    Vector(
        "an error in mid-stream",
        "openai",
        sse(chunk({"content": "Hel"}), {"error": {"message": "boom", "type": "server_error"}}),
        error=UnansweredError,
        genuine=False,
    ),
    Vector(
        "a rate limit in mid-stream",
        "openai",
        sse({"error": {"message": "slow", "type": "rate_limit_error", "code": "rate_limit_exceeded"}}),
        error=RateLimitedError,
        genuine=False,
    ),
    Vector(
        "too long, said in mid-stream",
        "openai",
        sse({"error": {"message": "too long", "code": "context_length_exceeded"}}),
        error=RefusedError,
        genuine=False,
    ),
]  # fmt: skip


def begun(**usage: int) -> dict[str, Any]:
    message = {
        "id": "m1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 1, **usage},
    }  # fmt: skip
    return {"type": "message_start", "message": message}


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def ended(reason: str, output_tokens: int = 3) -> list[dict[str, Any]]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": output_tokens}},
        {"type": "message_stop"},
    ]


def text(index: int, *pieces: str) -> list[dict[str, Any]]:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces))


def used(index: int, id: str, name: str, *pieces: str) -> list[dict[str, Any]]:
    content = {"type": "tool_use", "id": id, "name": name, "input": {}}
    return block(index, content, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


PING = {"type": "ping"}
ANTHROPIC = [
    Vector(
        "a text, with pings",
        "anthropic",
        sse(begun(), PING, *text(0, "Hel", "lo"), PING, *ended("end_turn"), named=True),
        text="Hello",
        usage=USAGE,
        genuine=False,  # its own types know no ping
    ),
    Vector(
        "tokens from a cache count as input",
        "anthropic",
        sse(begun(cache_read_input_tokens=5, cache_creation_input_tokens=2), *text(0, "Hi"), *ended("max_tokens"), named=True),
        text="Hi",
        stop="max_tokens",
        usage=Usage(input_tokens=16, output_tokens=3, cached_input_tokens=5),
    ),
    Vector(
        "thinking, a text and two tools",
        "anthropic",
        sse(begun(),
            *block(0, {"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "Hm."},
                   {"type": "signature_delta", "signature": "s1"}),
            *text(1, "Let me see."), *used(2, "a", "first", "", '{"x"', ": 1}"), *used(3, "b", "now"), *ended("tool_use"),
            named=True),
        text="Let me see.",
        stop="tool_use",
        usage=USAGE,
        tools=(("first", {"x": 1}), ("now", {})),
        thinking="Hm.",
    ),
    Vector("cut before its end", "anthropic", sse(begun(), *text(0, "Hel"), named=True), error=MalformedError),
    Vector(
        "overloaded in mid-stream",
        "anthropic",
        sse(begun(), {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, named=True),
        error=UnansweredError,
        genuine=False,
    ),
    Vector(
        "an event that nobody knows is passed over",
        "anthropic",
        sse(begun(), {"type": "new_event", "x": 1}, *text(0, "Hi"), *ended("end_turn"), named=True),
        text="Hi",
        usage=USAGE,
        genuine=False,
    ),
]  # fmt: skip


def line(message: dict[str, Any], **more: Any) -> bytes:
    body = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", **message}, **more}
    return json.dumps(body, ensure_ascii=False).encode() + b"\n"


END = line({"content": ""}, done=True, done_reason="stop", prompt_eval_count=9, eval_count=3)
OLLAMA = [
    Vector("a text", "ollama", line({"content": "Hel"}, done=False) + line({"content": "lo 😀"}, done=False) + END, "Hello 😀", usage=USAGE),
    Vector("thoughts", "ollama", line({"content": "", "thinking": "Hm."}, done=False) + line({"content": "Yes."}, done=False) + END,
           "Yes.", thinking="Hm.", usage=USAGE),
    Vector(
        "tools",
        "ollama",
        line({"content": "", "tool_calls": [{"function": {"name": "first", "arguments": {"x": 1}}}]}, done=False) + END,
        stop="tool_use",
        usage=USAGE,
        tools=(("first", {"x": 1}),),
    ),
    Vector("the last line without its end", "ollama", line({"content": "Hi"}, done=False) + END.strip(), "Hi", usage=USAGE),
    Vector("cut", "ollama", line({"content": "Hel"}, done=False), error=MalformedError),
    Vector("an error in mid-stream", "ollama", line({"content": "Hel"}, done=False) + b'{"error": "boom"}\n',
           error=UpstreamError, genuine=False),
]  # fmt: skip
VECTORS = [*OPENAI, *ANTHROPIC, *OLLAMA]
IDS = [f"{vector.dialect}: {vector.name}" for vector in VECTORS]


def read(vector: Vector, pieces: list[bytes]) -> tuple[Parsed, list[dict[str, Any]]]:
    decoder = DIALECTS[vector.dialect].decoder(REQUEST)
    deltas = [delta for piece in pieces for delta in decoder.feed(piece)]
    return decoder.finish(), deltas


def check(vector: Vector, pieces: list[bytes]) -> None:
    if vector.error is not None:
        with pytest.raises(vector.error):
            read(vector, pieces)
        return
    parsed, deltas = read(vector, pieces)
    assert "".join(b.text for b in parsed.content if isinstance(b, TextBlock)) == vector.text
    assert "".join(b.thinking for b in parsed.content if isinstance(b, ThinkingBlock)) == vector.thinking
    assert tuple((b.name, b.input) for b in parsed.content if isinstance(b, ToolUseBlock)) == vector.tools
    assert parsed.stop_reason == vector.stop
    assert parsed.usage == vector.usage if vector.usage else not parsed.usage.exact
    assert "".join(d["text"] for d in deltas if d["type"] == "text") == vector.text
    assert "".join(d["thinking"] for d in deltas if d["type"] == "thinking") == vector.thinking
    told: dict[int, list[str]] = {}
    for delta in deltas:
        if delta["type"] == "tool_use":
            name, arguments = told.setdefault(delta["index"], ["", ""])
            told[delta["index"]] = [name + delta.get("name", ""), arguments + delta.get("partial_json", "")]
    assert [(name, json.loads(arguments or "{}")) for _, (name, arguments) in sorted(told.items())] == list(
        vector.tools
    )


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_the_outcome_is_the_one_that_is_stated(vector: Vector) -> None:
    check(vector, [vector.body])


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_a_byte_at_a_time_it_is_the_same(vector: Vector) -> None:
    check(vector, [vector.body[at : at + 1] for at in range(len(vector.body))])


@given(vector=st.sampled_from(VECTORS), places=st.lists(st.integers(0, 5_000), max_size=12))
def test_cut_anywhere_it_is_the_same(vector: Vector, places: list[int]) -> None:
    ends = sorted(place % (len(vector.body) + 1) for place in places)
    check(vector, [vector.body[a:b] for a, b in zip([0, *ends], [*ends, len(vector.body)], strict=True)])


@pytest.mark.parametrize(
    "vector", [vector for vector in VECTORS if vector.genuine], ids=lambda v: f"{v.dialect}: {v.name}"
)
def test_the_vendors_own_types_take_every_event(vector: Vector) -> None:
    lines = [piece.strip() for piece in vector.body.decode("utf-8-sig").replace("\r", "\n").split("\n")]
    said = [piece.removeprefix("data:").strip() for piece in lines if piece.startswith(("data:", "{"))]
    for event in said:
        if event not in ("[DONE]", "{broken"):
            JUDGES[vector.dialect](json.loads(event))
