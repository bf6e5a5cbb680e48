"""An HTTP client without a socket: what is sent to it is asked of ``ctx.llm``."""

import itertools
import json
import time
from collections.abc import AsyncIterator
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol

from imperal_sdk.errors import ImperalError
from imperal_sdk.facade import anthropic, openai
from imperal_sdk.facade.refusal import FacadeError, from_imperal, refused
from imperal_sdk.llm import Completion, Delta, Embeddings, Estimate, LlmRequest, StopDelta, UsageDelta
from imperal_sdk.model.stream import CompletionStream

_LIBRARIES = ("httpx2", "httpx")
_ADDRESS = "http://llm.invalid"
_OPENAI = ("/chat/completions", "/embeddings")
# The host has already tried again where that is safe; the vendors' libraries obey this.
_HEADERS = {"x-should-retry": "false"}


class Model(Protocol):
    """What is used of ``ctx.llm``."""

    model: str
    provider: str

    async def complete_request(self, request: LlmRequest) -> Completion: ...
    def stream_request(self, request: LlmRequest) -> CompletionStream: ...
    async def estimate_request(self, request: LlmRequest) -> Estimate: ...
    async def embed(self, texts: list[str], model: str = "", purpose: str = "embedding") -> Embeddings: ...


class Events(Protocol):
    def begin(self) -> bytes: ...
    def delta(self, delta: Delta) -> bytes: ...
    def end(self, completion: Completion) -> bytes: ...
    def error(self, error: FacadeError) -> bytes: ...


def http_client(model: Model, purpose: str = "", library: str = "") -> Any:
    """An ``AsyncClient`` of ``library``. Raises ``ImportError``."""
    http = _library(library)
    facade = Facade(model, purpose)

    class Stream(http.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, stream: CompletionStream, events: Events, first: bytes) -> None:
            self._stream, self._events, self._first = stream, events, first

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield self._first
            async for data in rest(self._stream, self._events):
                yield data

        async def aclose(self) -> None:
            self._stream.close()

    class Transport(http.AsyncBaseTransport):  # type: ignore[misc, name-defined]
        async def handle_async_request(self, request: Any) -> Any:
            status, reply = await facade.answer(
                request.method, request.url.path, await request.aread(), "anthropic-version" in request.headers
            )
            if isinstance(reply, tuple):
                headers = {**_HEADERS, "content-type": "text/event-stream"}
                return http.Response(status, headers=headers, stream=Stream(*reply), request=request)
            return http.Response(status, headers=_HEADERS, json=reply, request=request)

    return http.AsyncClient(transport=Transport(), base_url=_ADDRESS, trust_env=False)


def _library(name: str) -> ModuleType:
    for each in (name,) if name else _LIBRARIES:
        try:
            return import_module(each)
        except ModuleNotFoundError as error:
            if error.name != each:
                raise
    wanted = name or " or ".join(_LIBRARIES)
    raise ImportError(
        f"ctx.llm.http_client() needs {wanted}: put it, or the library that uses it (openai, anthropic), among the "
        "extension's requirements"
    )


class Facade:
    """A request in, a reply out; the dialect is known by the path, and by Anthropic's own header."""

    def __init__(self, model: Model, purpose: str) -> None:
        self._model = model
        self._purpose = purpose
        self._numbers = itertools.count(1)

    async def answer(
        self, method: str, path: str, data: bytes, is_anthropic: bool
    ) -> tuple[int, dict[str, Any] | tuple[CompletionStream, Events, bytes]]:
        is_anthropic = path.endswith(("/messages", "/count_tokens")) or (is_anthropic and not path.endswith(_OPENAI))
        try:
            try:
                return 200, await self._answer(f"{method} {path}", data, is_anthropic)
            except ImperalError as error:
                raise from_imperal(error) from None
        except FacadeError as error:
            return error.status, (anthropic if is_anthropic else openai).error_body(error)

    async def _answer(
        self, asked: str, data: bytes, is_anthropic: bool
    ) -> dict[str, Any] | tuple[CompletionStream, Events, bytes]:
        model = self._model
        if asked.startswith("GET ") and asked.endswith("/models"):
            return (
                anthropic.models_reply(model.model)
                if is_anthropic
                else openai.models_reply(model.model, model.provider)
            )
        if not asked.startswith("POST "):
            raise FacadeError(404, f"{asked} is not offered here", "not_found")
        if asked.endswith("/chat/completions"):
            body = _object(data)
            number, created = f"chatcmpl-{next(self._numbers)}", int(time.time())
            request = self._with_purpose(openai.request(body))
            if body.get("stream"):
                return await self._streamed(request, openai.Events(body, number, created, model.model))
            return openai.reply(await model.complete_request(request), number, created)
        if asked.endswith("/messages"):
            body = _object(data)
            number = f"msg_{next(self._numbers)}"
            request = self._with_purpose(anthropic.request(body))
            if body.get("stream"):
                return await self._streamed(request, anthropic.Events(number, model.model))
            return anthropic.reply(await model.complete_request(request), number)
        if asked.endswith("/messages/count_tokens"):
            estimate = await model.estimate_request(self._with_purpose(anthropic.request(_object(data))))
            return {"input_tokens": estimate.input_tokens}
        if asked.endswith("/embeddings"):
            body = _object(data)
            texts = openai.texts(body)
            embeddings = await model.embed(texts, str(body.get("model", "")), self._purpose or "embedding")
            return openai.embeddings_reply(embeddings, body)
        raise FacadeError(404, f"{asked} is not offered here", "not_found")

    async def _streamed(self, request: LlmRequest, events: Events) -> tuple[CompletionStream, Events, bytes]:
        """Until the first delta: what fails before it still has a status."""
        stream = self._model.stream_request(request)
        try:
            first = await anext(stream)
        except BaseException:
            stream.close()
            raise
        return stream, events, events.begin() + events.delta(first)

    def _with_purpose(self, request: LlmRequest) -> LlmRequest:
        return request.model_copy(update={"purpose": self._purpose})


async def rest(stream: CompletionStream, events: Events) -> AsyncIterator[bytes]:
    """What follows the first delta. A failure is an event: the status was sent long ago."""
    try:
        async for delta in stream:
            if not isinstance(delta, UsageDelta | StopDelta):
                yield events.delta(delta)
        yield events.end(stream.completion)
    except ImperalError as error:
        yield events.error(from_imperal(error))


def _object(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise refused("the body is not JSON") from None
    if not isinstance(body, dict):
        raise refused("the body is no object")
    return body
