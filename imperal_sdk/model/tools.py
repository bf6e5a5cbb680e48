"""Functions that a model may ask for: described from their signatures, run in rounds, within bounds."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model
from pydantic import ValidationError as PydanticError

from imperal_sdk.errors import APIError
from imperal_sdk.llm import Completion, Tool, ToolUseBlock

CALLS_AT_ONCE_MAX = 16
RESULT_CHARACTERS_MAX = 100_000
ToolFunction = Callable[..., Awaitable[Any]]
Complete = Callable[[list[Mapping[str, Any]], list[Tool]], Awaitable[Completion]]


@dataclass(frozen=True, slots=True)
class ToolRun:
    """``messages`` is the whole conversation, the last answer included. ``stopped_by`` says what ended it: the
    model itself (``model``), or a bound that was reached while it still asked for tools."""

    completion: Completion
    messages: tuple[Mapping[str, Any], ...]
    rounds: int
    tokens_used: int
    cost_nano_usd: int
    stopped_by: Literal["model", "rounds", "tokens", "seconds"]

    @property
    def text(self) -> str:
        return self.completion.text


@dataclass(frozen=True, slots=True)
class Bounds:
    rounds_max: int
    tokens_max: int
    seconds_max: float


class DescribedFunction:
    """One function as a tool: its name, its docstring, and its parameters, or those of its one pydantic model."""

    def __init__(self, function: ToolFunction) -> None:
        self._function = function
        hints = get_type_hints(function, include_extras=True)
        parameters = list(inspect.signature(function).parameters.values())
        if wrong := [p.name for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY)]:
            raise TypeError(
                f"tool {function.__name__}: {wrong[0]!r} cannot be described to a model; name each parameter"
            )
        only = hints.get(parameters[0].name) if len(parameters) == 1 else None
        self._takes_model = isinstance(only, type) and issubclass(only, BaseModel)
        self._model: type[BaseModel]
        if self._takes_model:
            assert isinstance(only, type)
            self._model = only
        else:
            if untyped := [p.name for p in parameters if p.name not in hints]:
                raise TypeError(f"tool {function.__name__}: give {untyped[0]!r} a type, so that it can be described")
            fields: dict[str, Any] = {
                p.name: (hints[p.name], ... if p.default is p.empty else p.default) for p in parameters
            }
            self._model = create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **fields)
        description = inspect.getdoc(function) or ""
        self.tool = Tool(
            name=function.__name__, description=description[:8_192], input_schema=self._model.model_json_schema()
        )

    async def result(self, use: ToolUseBlock) -> dict[str, Any]:
        """What it raises is told to the model."""
        try:
            arguments = self._model.model_validate(use.input)
            if self._takes_model:
                value = await self._function(arguments)
            else:
                value = await self._function(**{name: getattr(arguments, name) for name in self._model.model_fields})
            return _result(use, _text(value))
        except PydanticError as error:
            problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:10])
            return _result(use, f"invalid: {problems}", is_error=True)
        except Exception as error:
            return _result(use, f"{type(error).__name__}: {error}", is_error=True)


async def run(
    messages: Sequence[Mapping[str, Any]], functions: Sequence[ToolFunction], bounds: Bounds, complete: Complete
) -> ToolRun:
    """Ask, run what is asked for, give back the results; until the model asks for no more, or a bound is reached.

    Raises ``APIError`` if ``seconds_max`` is over before the first answer.
    """
    described = {(d := DescribedFunction(function)).tool.name: d for function in functions}
    if len(described) != len(functions):
        raise TypeError("two tools have one name")
    tools = [d.tool for d in described.values()]
    said: list[Mapping[str, Any]] = list(messages)
    rounds = tokens = cost = 0
    last: Completion | None = None
    stopped_by: Literal["model", "rounds", "tokens", "seconds"]
    try:
        async with asyncio.timeout(bounds.seconds_max) as late:
            while True:
                last = await complete(said, tools)
                rounds, tokens, cost = rounds + 1, tokens + last.tokens_used, cost + last.cost_nano_usd
                said.append(_message("assistant", [block.model_dump(mode="json") for block in last.content]))
                if not last.tool_uses:
                    stopped_by = "model"
                elif rounds >= bounds.rounds_max:
                    stopped_by = "rounds"
                elif tokens >= bounds.tokens_max:
                    stopped_by = "tokens"
                else:
                    said.append(_message("user", await _results(described, last.tool_uses)))
                    continue
                break
    except TimeoutError:
        if not late.expired():
            raise
        if last is None:
            raise APIError(f"no answer within {bounds.seconds_max:g} s", 504, "tools.seconds") from None
        stopped_by = "seconds"
    return ToolRun(last, tuple(said), rounds, tokens, cost, stopped_by)


async def _results(described: Mapping[str, DescribedFunction], uses: Sequence[ToolUseBlock]) -> list[dict[str, Any]]:
    room = asyncio.Semaphore(CALLS_AT_ONCE_MAX)

    async def one(use: ToolUseBlock) -> dict[str, Any]:
        function = described.get(use.name)
        if function is None:
            return _result(use, f"there is no tool {use.name!r}", is_error=True)
        async with room:
            return await function.result(use)

    return list(await asyncio.gather(*map(one, uses)))


def _message(role: str, content: list[dict[str, Any]]) -> Mapping[str, Any]:
    return {"role": role, "content": content}


def _result(use: ToolUseBlock, text: str, *, is_error: bool = False) -> dict[str, Any]:
    said = text[:RESULT_CHARACTERS_MAX].encode(errors="replace").decode()
    return {"type": "tool_result", "tool_use_id": use.id, "content": said, "is_error": is_error}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    return json.dumps(value, ensure_ascii=False, default=str)
