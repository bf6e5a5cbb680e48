"""A ``Context`` with a scripted model. Everything else is the real class."""

import re
from typing import Any

from imperal_sdk.context import Ai, Context
from imperal_sdk.errors import NotFoundError
from imperal_sdk.extension import Extension
from imperal_sdk.llm import Completion, LlmRequest, TextBlock, Usage
from imperal_sdk.model.door import Llm
from imperal_sdk.types.action_result import ActionResult
from imperal_sdk.wire.frames import CallContext, LlmView

_NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z: tests see the same time every day


class MockLlm(Llm):
    """Scripted answers by pattern; ``requests`` is what the extension asked, in order."""

    def __init__(self, view: LlmView) -> None:
        super().__init__(self._answer, view)
        self.requests: list[LlmRequest] = []
        self._script: list[tuple[re.Pattern[str], str | Exception]] = []

    def set_response(self, pattern: str, response: str | Exception) -> None:
        """The first pattern found in the last message answers; an exception is raised instead."""
        self._script.append((re.compile(pattern, re.DOTALL), response))

    async def _answer(self, capability: str, payload: dict[str, Any]) -> dict[str, Any]:
        request = LlmRequest.model_validate(payload)
        self.requests.append(request)
        prompt = request.messages[-1].text
        response = next((text for pattern, text in self._script if pattern.search(prompt)), "mock response")
        if isinstance(response, Exception):
            raise response
        completion = Completion(
            content=(TextBlock(text=response),),
            model=self.model,
            provider=self.provider,
            stop_reason="end_turn",
            usage=Usage(input_tokens=len(prompt.split()), output_tokens=len(response.split())),
            is_byollm=self.is_byollm,
        )
        return completion.model_dump(mode="json")


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
