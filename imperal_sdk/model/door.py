"""``ctx.llm``: the right model for this user, whoever's it is."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, Unpack, overload

from pydantic import BaseModel
from pydantic import ValidationError as PydanticError

from imperal_sdk.errors import AnswerFormatError, ImperalError
from imperal_sdk.llm import UNSET, Completion, Embeddings, EmbedRequest, Estimate, LlmRequest, Tool, Unset, Usage
from imperal_sdk.model.request import Messages, Said, SaidWithTools, invalid, payload_of, request_of
from imperal_sdk.model.stream import CompletionStream, Parts
from imperal_sdk.model.structured import Structured, parsed, repair, schema_of
from imperal_sdk.model.tools import Bounds, ToolFunction, ToolRun, run
from imperal_sdk.wire.frames import LlmView

AskFn = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
StreamFn = Callable[[str, dict[str, Any]], Parts]
T = TypeVar("T", bound=BaseModel)
# So that the vectors of one answer fit into one message, whatever their length.
_TEXTS_PER_ASK_MAX = 32


class Llm:
    """All forms of a model call take the arguments of ``create_message``; see ``SaidWithTools`` in ``request``."""

    def __init__(self, ask: AskFn, view: LlmView, stream: StreamFn | None = None) -> None:
        self._ask = ask
        self._open_stream = stream or _no_stream
        self.is_byollm = view.is_byollm
        self.provider = view.provider
        self.model = view.model

    @overload
    async def create_message(
        self,
        messages: Messages,
        system: str = "",
        max_tokens: int | Unset = UNSET,
        *,
        response_model: None = None,
        **said: Unpack[SaidWithTools],
    ) -> Completion: ...

    @overload
    async def create_message(
        self,
        messages: Messages,
        system: str = "",
        max_tokens: int | Unset = UNSET,
        *,
        response_model: type[T],
        **said: Unpack[SaidWithTools],
    ) -> Structured[T]: ...

    async def create_message(
        self,
        messages: Messages,
        system: str = "",
        max_tokens: int | Unset = UNSET,
        *,
        response_model: type[T] | None = None,
        **said: Unpack[SaidWithTools],
    ) -> Completion | Structured[T]:
        """One model call.

        ``messages`` is a list of ``{"role": "user" | "assistant", "content": str | blocks}``; blocks are
        Anthropic's text, image, tool_use, tool_result and thinking. With ``response_model`` the answer is asked
        for as its JSON Schema, and ``.parsed`` is an instance of it; an answer that is not is sent back once.

        Raises ``ValidationError`` before anything is sent, ``CapabilityDeniedError`` when the host did not grant
        the model, ``RateLimitError`` and ``APIError`` for what the model's side answered, and
        ``AnswerFormatError`` if the second answer was no ``response_model`` either.
        """
        if response_model is None:
            return await self.complete_request(request_of(messages, system, max_tokens, said))
        request = request_of(messages, system, max_tokens, said, schema_of(response_model))
        try:
            return parsed(await self.complete_request(request), response_model)
        except AnswerFormatError as error:
            return parsed(await self.complete_request(repair(request, error)), response_model)

    def stream(
        self, messages: Messages, system: str = "", max_tokens: int | Unset = UNSET, **said: Unpack[SaidWithTools]
    ) -> CompletionStream:
        """The same as ``create_message``, read as it comes."""
        return self.stream_request(request_of(messages, system, max_tokens, said))

    async def run_tools(
        self,
        messages: Messages,
        tools: Sequence[ToolFunction],
        system: str = "",
        max_tokens: int | Unset = UNSET,
        *,
        max_rounds: int = 10,
        tokens_max: int = 100_000,
        seconds_max: float = 100.0,
        **said: Unpack[Said],
    ) -> ToolRun:
        """Let the model use ``tools``: async functions with typed parameters and a docstring, or with one
        pydantic model. What a model asks for in one answer runs at once; what a function raises is told to it.

        At most ``max_rounds`` model calls; none more once ``tokens_max`` tokens are used in all; and no longer
        than ``seconds_max``, at which whatever is still running is cancelled.
        """

        async def complete(so_far: list[Mapping[str, Any]], described: list[Tool]) -> Completion:
            return await self.complete_request(request_of(so_far, system, max_tokens, {**said, "tools": described}))

        return await run(messages, tools, Bounds(max_rounds, tokens_max, seconds_max), complete)

    async def embed(self, texts: str | Sequence[str], model: str = "", purpose: str = "embedding") -> Embeddings:
        """One vector for each text, in their order. Raises what ``create_message`` raises."""
        try:
            request = EmbedRequest(
                texts=(texts,) if isinstance(texts, str) else tuple(texts), model=model, purpose=purpose
            )
        except PydanticError as error:
            raise invalid(error) from None
        answers = []
        for begin in range(0, len(request.texts), _TEXTS_PER_ASK_MAX):
            some = request.model_copy(update={"texts": request.texts[begin : begin + _TEXTS_PER_ASK_MAX]})
            answers.append(Embeddings.model_validate(await self._ask("llm.embed", some.model_dump(mode="json"))))
        return answers[0] if len(answers) == 1 else _joined(answers)

    async def estimate_cost(
        self, messages: Messages, system: str = "", max_tokens: int | Unset = UNSET, **said: Unpack[SaidWithTools]
    ) -> Estimate:
        """What this call would be sent to, how many input tokens it is about, and the most it may cost."""
        return await self.estimate_request(request_of(messages, system, max_tokens, said))

    async def count_tokens(self, messages: Messages, system: str = "", **said: Unpack[SaidWithTools]) -> int:
        """About how many input tokens this call has. Nothing is sent to the model."""
        return (await self.estimate_cost(messages, system, **said)).input_tokens

    def http_client(self, purpose: str = "", library: str = "") -> Any:
        """An ``httpx2.AsyncClient`` (or httpx's) whose only way is this door.

        It is for the vendors' libraries, and for frameworks that use them:

            openai.AsyncOpenAI(http_client=ctx.llm.http_client(), api_key="-")
            anthropic.AsyncAnthropic(http_client=ctx.llm.http_client(), api_key="-")

        It answers ``/v1/chat/completions``, ``/v1/messages``, ``/v1/embeddings`` and ``/v1/models``, also
        streamed; the address before them and every key are ignored. ``library`` is ``httpx2`` or ``httpx``;
        left out, the first of these that the extension has. Raises ``ImportError`` if it has none.
        """
        from imperal_sdk.facade.client import http_client

        return http_client(self, purpose, library)

    # -- of requests already made

    async def complete_request(self, request: LlmRequest) -> Completion:
        return Completion.model_validate(await self._ask("llm.complete", payload_of(request)))

    def stream_request(self, request: LlmRequest) -> CompletionStream:
        return CompletionStream(lambda: self._open_stream("llm.stream", payload_of(request)))

    async def estimate_request(self, request: LlmRequest) -> Estimate:
        return Estimate.model_validate(await self._ask("llm.estimate", payload_of(request)))


def _joined(answers: list[Embeddings]) -> Embeddings:
    usages = [answer.usage for answer in answers]
    usage = Usage(
        input_tokens=sum(u.input_tokens for u in usages),
        output_tokens=sum(u.output_tokens for u in usages),
        cached_input_tokens=sum(u.cached_input_tokens for u in usages),
        exact=all(u.exact for u in usages),
    )
    return answers[-1].model_copy(
        update={
            "vectors": tuple(vector for answer in answers for vector in answer.vectors),
            "usage": usage,
            "cost_nano_usd": sum(answer.cost_nano_usd for answer in answers),
        }
    )


def _no_stream(capability: str, payload: dict[str, Any]) -> Parts:
    raise ImperalError("this context cannot stream", "request.forbidden")
