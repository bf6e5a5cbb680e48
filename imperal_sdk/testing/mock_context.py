"""A ``Context`` with a scripted model. Everything else is the real class."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from imperal_sdk.context import Ai, Context
from imperal_sdk.errors import NotFoundError
from imperal_sdk.extension import Extension
from imperal_sdk.llm import (
    Completion,
    Embeddings,
    EmbedRequest,
    Estimate,
    LlmRequest,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
    Usage,
)
from imperal_sdk.model.door import Llm
from imperal_sdk.types.action_result import ActionResult
from imperal_sdk.wire.frames import CallContext, LlmView

_NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z: tests see the same time every day


Response = str | BaseModel | Sequence[ToolUseBlock] | Exception
_EMBEDDING = (1.0, 0.0)
_WORDS = re.compile(r"\S+\s*|\s+")


class MockParts:
    """A streamed answer: one delta a word, then the completion."""

    def __init__(self, llm: "MockLlm", payload: dict[str, Any]) -> None:
        self._llm, self._payload = llm, payload
        self._batches: list[list[dict[str, Any]]] | None = None
        self.answer: dict[str, Any] = {}

    async def next(self) -> list[dict[str, Any]] | None:
        if self._batches is None:
            completion = self._llm.respond(self._payload)
            self.answer = completion.model_dump(mode="json")
            self._batches = [[delta] for delta in _deltas(completion)]
        return self._batches.pop(0) if self._batches else None

    def close(self) -> None:
        if self._batches:
            self._llm.streams_closed_early += 1
            self._batches = []


class MockLlm(Llm):
    """Scripted answers by pattern, whichever way they are asked for; ``requests`` is what the extension asked, in
    order, ``embed_requests`` what it had embedded."""

    def __init__(self, view: LlmView) -> None:
        super().__init__(self._answer, view, lambda capability, payload: MockParts(self, payload))
        self.requests: list[LlmRequest] = []
        self.embed_requests: list[EmbedRequest] = []
        self.streams_closed_early = 0
        self._script: list[tuple[re.Pattern[str], Response]] = []
        self._vectors: dict[str, tuple[float, ...]] = {}

    def set_response(self, pattern: str, response: Response) -> None:
        """The first pattern found in the last message (its text, or a tool's result) answers.

        A pydantic model answers with its JSON, tool uses (``ToolUseBlock``) ask for tools, an exception is raised.
        """
        self._script.append((re.compile(pattern, re.DOTALL), response))

    def set_embeddings(self, vectors: Mapping[str, Sequence[float]]) -> None:
        """The vector of each text; other texts have ``(1.0, 0.0)``."""
        self._vectors |= {text: tuple(vector) for text, vector in vectors.items()}

    async def _answer(self, capability: str, payload: dict[str, Any]) -> dict[str, Any]:
        if capability == "llm.embed":
            return self._embedded(EmbedRequest.model_validate(payload)).model_dump(mode="json")
        if capability == "llm.estimate":
            return self._estimated(LlmRequest.model_validate(payload)).model_dump(mode="json")
        return self.respond(payload).model_dump(mode="json")

    def respond(self, payload: dict[str, Any]) -> Completion:
        request = LlmRequest.model_validate(payload)
        self.requests.append(request)
        prompt = _prompt(request)
        response = next((said for pattern, said in self._script if pattern.search(prompt)), "mock response")
        if isinstance(response, Exception):
            raise response
        text = response.model_dump_json() if isinstance(response, BaseModel) else response
        content = (TextBlock(text=text),) if isinstance(text, str) else tuple(text)
        return Completion(
            content=content,
            model=self.model,
            provider=self.provider,
            stop_reason="end_turn" if isinstance(text, str) else "tool_use",
            usage=Usage(input_tokens=len(prompt.split()), output_tokens=len(str(text).split())),
            is_byollm=self.is_byollm,
        )

    def _embedded(self, request: EmbedRequest) -> Embeddings:
        self.embed_requests.append(request)
        return Embeddings(
            vectors=tuple(self._vectors.get(text, _EMBEDDING) for text in request.texts),
            model=self.model,
            provider=self.provider,
            usage=Usage(input_tokens=sum(len(text.split()) for text in request.texts), output_tokens=0),
            is_byollm=self.is_byollm,
        )

    def _estimated(self, request: LlmRequest) -> Estimate:
        return Estimate(
            model=self.model,
            provider=self.provider,
            is_byollm=self.is_byollm,
            input_tokens=len(_prompt(request).split()),
            output_tokens_max=request.parameters.max_tokens or 1_000,
            cost_nano_usd_max=0,
        )


def _prompt(request: LlmRequest) -> str:
    last = request.messages[-1]
    results = [block.text for block in last.blocks if isinstance(block, ToolResultBlock)]
    return "\n".join([last.text, *results]) if results else last.text


def _deltas(completion: Completion) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = []
    for index, use in enumerate(completion.tool_uses):
        said = json.dumps(use.input)
        deltas.append({"type": "tool_use", "index": index, "id": use.id, "name": use.name})
        deltas.append({"type": "tool_use", "index": index, "partial_json": said})
    deltas += [{"type": "text", "text": word} for word in _WORDS.findall(completion.text)]
    return deltas


class MockAI(Ai):
    def __init__(self, llm: MockLlm) -> None:
        super().__init__(llm)
        self.set_response = llm.set_response


class MockContext(Context):
    """``logs`` and ``progress_reports`` hold what the extension said."""

    llm: MockLlm

    def __init__(
        self,
        user_id: str = "test_user",
        email: str = "test@test.com",
        role: str = "user",
        scopes: list[str] | None = None,
        tenant_id: str = "default",
        extension_id: str = "test-ext",
        config: dict[str, Any] | None = None,
        tool_type: str = "tool",
        *,
        is_byollm: bool = False,
        provider: str = "mock",
        model: str = "mock-model",
    ) -> None:
        view = LlmView(is_byollm, provider, model)
        call = CallContext(user_id, email, tenant_id, role, scopes or [], view, _NOW, config or {})
        self.logs: list[dict[str, Any]] = []
        self.progress_reports: list[dict[str, Any]] = []
        mock = MockLlm(view)
        super().__init__(call, mock._answer, self._keep)
        self.llm = mock
        self.ai: MockAI = MockAI(mock)

    def _keep(self, capability: str, payload: dict[str, Any]) -> None:
        (self.logs if capability == "log.write" else self.progress_reports).append(payload)


async def call_function(extension: Extension, name: str, ctx: Context, **arguments: Any) -> ActionResult[Any]:
    """Call a declared function the way the host does: arguments validated, the answer as an ``ActionResult``.

    Raises ``NotFoundError`` for an unknown name and pydantic's ``ValidationError`` for wrong arguments.
    """
    function = extension.functions.get(name)
    if function is None:
        raise NotFoundError("function", name)
    model = function.params_model
    value = await function.func(ctx, *([model.model_validate(arguments)] if model else []))
    return value if isinstance(value, ActionResult) else ActionResult.success(value)
