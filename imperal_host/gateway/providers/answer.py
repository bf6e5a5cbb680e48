"""An answer in the making: what the whole reply and the stream of a chat dialect are both gathered into."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from imperal_host.errors import MalformedError
from imperal_sdk.llm import CompletionBlock, LlmRequest, TextBlock, ThinkingBlock, ToolUseBlock

Delta = dict[str, Any]
_NAME_CHARACTERS_MAX = 256


@dataclass(slots=True)
class Use:
    """One tool use. ``id`` is the one that the upstream gave, or empty."""

    id: str
    name: str
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Answer:
    """Thinking, then text, then tool uses: chat dialects do not say how these are interleaved.

    Where a schema was asked for and the dialect could only force a tool of its name, that tool's input is the
    text: the asker never sees the detour.
    """

    request: LlmRequest
    thinking: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    _ids: set[str] = field(default_factory=set)

    def think(self, part: str) -> Delta:
        self.thinking.append(part)
        return {"type": "thinking", "thinking": part}

    def say(self, part: str) -> Delta:
        self.text.append(part)
        return {"type": "text", "text": part}

    def use(self, given_id: str, name: str) -> Delta | None:
        """A further tool use begins. An id that is missing or was given before is made unique."""
        if not name or len(name) > _NAME_CHARACTERS_MAX:
            raise MalformedError("the model's server named a tool that has no possible name")
        if is_answer_tool(self.request, name):
            self.uses.append(Use("", name))
            return None
        index = sum(bool(use.id) for use in self.uses)
        unique = unique_id(given_id, self._ids, f"call_{len(self.request.messages)}_{index}")
        self.uses.append(Use(unique, name))
        return {"type": "tool_use", "index": index, "id": unique, "name": name, "partial_json": ""}

    def argue(self, which: int, part: str) -> Delta:
        """A further part of the input of the use at ``which``."""
        use = self.uses[which]
        if not use.id:
            return self.say(part)
        use.arguments.append(part)
        index = sum(bool(earlier.id) for earlier in self.uses[:which])
        return {"type": "tool_use", "index": index, "partial_json": part}

    def content(self, stop_reason: str) -> tuple[CompletionBlock, ...]:
        blocks: list[CompletionBlock] = []
        if self.thinking:
            blocks.append(ThinkingBlock(thinking="".join(self.thinking)))
        if text := "".join(self.text):
            blocks.append(TextBlock(text=text))
        for use in self.uses:
            if use.id:
                read = tool_use(use.id, use.name, "".join(use.arguments), stop_reason)
                blocks.extend([read] if read else [])
        return tuple(blocks)

    def stop_reason(self, stated: str) -> str:
        """Some servers say that the turn ended when a tool is asked for; a forced tool is no tool use."""
        if any(use.id for use in self.uses):
            return "tool_use" if stated == "end_turn" else stated
        return "end_turn" if stated == "tool_use" and self.uses else stated

    def written(self) -> str:
        """All that the model wrote, to estimate its tokens."""
        return "".join((*self.thinking, *self.text, *("".join((use.name, *use.arguments)) for use in self.uses)))


def is_answer_tool(request: LlmRequest, name: str) -> bool:
    """Whether this is the tool that stands for the response schema."""
    schema = request.response_schema
    return schema is not None and name == schema.name and all(tool.name != name for tool in request.tools)


def unique_id(given: str, taken: set[str], spare: str) -> str:
    unique = given if given and len(given) <= _NAME_CHARACTERS_MAX else spare
    if unique in taken:
        unique = f"{unique[:200]}_{spare}"
    taken.add(unique)
    return unique


def tool_use(use_id: str, name: str, arguments: str, stop_reason: str) -> ToolUseBlock | None:
    """``None`` for an input that the output bound cut short: it is no input. Raises ``MalformedError``."""
    try:
        value = orjson.loads(arguments) if arguments.strip() else {}
    except orjson.JSONDecodeError:
        if stop_reason == "max_tokens":
            return None
        raise MalformedError(f"the model wrote an input for the tool {name!r} that is not JSON") from None
    if not isinstance(value, dict):
        raise MalformedError(f"the model wrote an input for the tool {name!r} that is not a JSON object")
    return ToolUseBlock(id=use_id, name=name, input=value)
