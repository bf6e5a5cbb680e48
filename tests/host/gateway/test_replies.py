"""An upstream may answer anything. Nothing but a reading or an ``UpstreamError`` comes of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperal_host.errors import (
    MalformedError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
    UpstreamError,
)
from imperal_host.gateway.providers.anthropic import Anthropic
from imperal_host.gateway.providers.base import Parsed, Provider, Reply
from imperal_host.gateway.providers.ollama import Ollama
from imperal_host.gateway.providers.openai import OpenAI
from imperal_sdk.llm import LlmRequest, Message

DIALECTS: list[Provider] = [OpenAI(), Anthropic(), Ollama()]
REQUEST = LlmRequest(messages=(Message(role="user", content="Hello"),))

WORDS = st.sampled_from(
    [
        *("choices", "message", "content", "finish_reason", "usage", "prompt_tokens", "completion_tokens", "error"),
        *("prompt_tokens_details", "cached_tokens", "type", "text", "stop_reason", "input_tokens", "output_tokens"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=4),
    max_leaves=15,
)
NOT_A_COUNT: list[Any] = [True, False, -1, 2**40, 10**30, 1.0, 1e300, "5", "", [], {}, [1], {"n": 1}]


def good_chat() -> dict[str, Any]:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 0}}
    return {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}], "usage": usage, "model": "m"}


def good_message() -> dict[str, Any]:
    usage = {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    return {"content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn", "usage": usage, "model": "m"}


GOOD = [(DIALECTS[0], good_chat), (DIALECTS[1], good_message)]


def read(dialect: Provider, body: object, status: int = 200) -> Parsed | UpstreamError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode("utf-8", "surrogatepass")
    try:
        parsed = dialect.parse(Reply(status, raw), REQUEST)
    except UpstreamError as error:
        return error
    assert all(isinstance(value, str) for value in (parsed.text, parsed.model, parsed.stop_reason))
    assert all(type(n) is int and n >= 0 for n in (parsed.usage.input_tokens, parsed.usage.output_tokens))
    return parsed


@pytest.mark.parametrize("dialect", DIALECTS)
@given(body=st.binary(max_size=60), status=st.integers(100, 599))
def test_arbitrary_bytes(dialect: Provider, body: bytes, status: int) -> None:
    assert isinstance(read(dialect, body, status), UpstreamError)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(body=ANYTHING, status=st.sampled_from([200, 400, 401, 429, 500]))
def test_arbitrary_json(dialect: Provider, body: object, status: int) -> None:
    assert isinstance(read(dialect, body, status), Parsed if status == 200 else UpstreamError) or status == 200


@pytest.mark.parametrize(("dialect", "good"), GOOD)
@given(data=st.data())
def test_a_good_reply_with_anything_in_one_place(dialect: Provider, good: Any, data: st.DataObject) -> None:
    body = good()
    place: Any = body
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(ANYTHING)
    read(dialect, body)


@pytest.mark.parametrize(("dialect", "good"), GOOD)
@pytest.mark.parametrize("count", NOT_A_COUNT)
def test_a_count_that_is_none_is_malformed(dialect: Provider, good: Any, count: Any) -> None:
    usage = good()["usage"]
    for name in usage.keys() - {"prompt_tokens_details"}:
        body = good()
        body["usage"][name] = count
        assert isinstance(read(dialect, body), MalformedError), name
    if "prompt_tokens_details" in usage:
        body = good()
        body["usage"]["prompt_tokens_details"]["cached_tokens"] = count
        assert isinstance(read(dialect, body), MalformedError)


@pytest.mark.parametrize(("dialect", "good"), GOOD)
def test_a_required_count_that_is_missing_is_malformed_and_never_zero(dialect: Provider, good: Any) -> None:
    for name in {"prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"} & good()["usage"].keys():
        body = good()
        del body["usage"][name]
        assert isinstance(read(dialect, body), MalformedError), name


NEST = b"[" * 1_000 + b"]" * 1_000


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        *((dialect, NEST) for dialect in DIALECTS),
        *((dialect, b'{"error": ' + NEST + b"}") for dialect in DIALECTS),
        *((dialect, b'{"error": {"message": ' + NEST + b"}}") for dialect in DIALECTS),
        *(
            (dialect, json.dumps(good()).encode().replace(b'"model": "m"', b'"model": ' + NEST))
            for dialect, good in GOOD
        ),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_a_deep_nest_is_read_like_anything_else(dialect: Provider, body: bytes, status: int) -> None:
    read(dialect, body, status)


@pytest.mark.parametrize(("dialect", "good"), GOOD)
def test_a_model_name_that_is_no_text_is_malformed_or_left_out(dialect: Provider, good: Any) -> None:
    for name in (None, 7, ["m"], {"a": 1}):
        outcome = read(dialect, {**good(), "model": name})
        assert isinstance(outcome, MalformedError) or outcome.model == ""  # type: ignore[union-attr]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, UnavailableError) for status in (408, 409, 425, 500, 502, 503, 504, 520, 529, 599)),
        (429, RateLimitedError),
        *((status, RefusedError) for status in (400, 401, 402, 403, 404, 405, 413, 418, 422)),
        *((status, RefusedError) for status in (201, 204, 301, 302, 303, 307, 308)),
    ],
)
def test_a_status_becomes(dialect: Provider, status: int, error: type[UpstreamError]) -> None:
    body = b'{"error": {"type": "x", "message": "what the vendor says"}}'
    outcome = read(dialect, body, status)
    assert type(outcome) is error
    assert str(status) in str(outcome)
    assert ("what the vendor says" in str(outcome)) == (not 300 <= status < 400)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "no such thing"}}', "(no such thing)"),
        (b'{"error": "no such thing"}', "(no such thing)"),
        (b'{"error": {"message": "a\\nb\\u001b[31m\\u202ec"}}', "(a b [31m c)"),
        (b'{"error": {"message": ""}}', ""),
        (b'{"error": null}', ""),
        (b'{"error": {"message": {"a": 1}}}', ""),
        (b'{"error": []}', ""),
        (b'{"detail": "no"}', ""),
        (b"[]", ""),
        (b"null", ""),
        (b"<html>", ""),
        (b"", ""),
    ],
)
def test_the_vendors_words_are_told_on_one_line(body: bytes, said: str) -> None:
    told = str(read(DIALECTS[0], body, 400))
    assert told == f"the model's server refused the request: 400{' ' + said if said else ''}"


def test_the_vendors_words_are_bounded() -> None:
    body = json.dumps({"error": {"message": "x" * 100_000}}).encode()
    assert len(str(read(DIALECTS[0], body, 400))) < 400
