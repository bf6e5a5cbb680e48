"""What a model answers: whole, in deltas, as vectors; and what it used."""

from typing import Annotated, Literal

from pydantic import Field

from imperal_sdk.llm.content import CompletionBlock, TextBlock, ToolUseBlock
from imperal_sdk.llm.parameters import Origin
from imperal_sdk.llm.value import Value


class Usage(Value):
    """Tokens of one model call. ``exact`` is false where the upstream did not say and the host estimated."""

    input_tokens: int = Field(ge=0)
    output_tokens: int = Field(ge=0)
    cached_input_tokens: int = Field(0, ge=0)
    exact: bool = True

    def __getitem__(self, name: str) -> int:
        """``usage["input_tokens"]``: the older dict access of ``ctx.ai`` results."""
        if name not in type(self).model_fields:
            raise KeyError(name)
        value: int = getattr(self, name)
        return value


class Completion(Value):
    """The answer of a model.

    ``stop_reason`` uses Anthropic's words: end_turn, max_tokens, stop_sequence, tool_use, refusal.
    ``provenance`` maps each parameter to the layer that set it.
    """

    content: tuple[CompletionBlock, ...]
    model: str
    provider: str
    stop_reason: str
    usage: Usage
    is_byollm: bool
    cost_nano_usd: int = 0
    provenance: dict[str, Origin] = {}

    @property
    def text(self) -> str:
        """All text blocks, joined."""
        return "".join(block.text for block in self.content if isinstance(block, TextBlock))

    @property
    def tool_uses(self) -> tuple[ToolUseBlock, ...]:
        return tuple(block for block in self.content if isinstance(block, ToolUseBlock))

    @property
    def tokens_used(self) -> int:
        return self.usage.input_tokens + self.usage.output_tokens


class TextDelta(Value):
    type: Literal["text"] = "text"
    text: str


class ThinkingDelta(Value):
    type: Literal["thinking"] = "thinking"
    thinking: str


class ToolUseDelta(Value):
    """``index`` tells parallel uses apart, from 0. ``id`` and ``name`` stand in the first delta of a use only."""

    type: Literal["tool_use"] = "tool_use"
    index: int = Field(ge=0)
    id: str = ""
    name: str = ""
    partial_json: str = ""


class UsageDelta(Value):
    type: Literal["usage"] = "usage"
    usage: Usage


class StopDelta(Value):
    type: Literal["stop"] = "stop"
    stop_reason: str


Delta = Annotated[TextDelta | ThinkingDelta | ToolUseDelta | UsageDelta | StopDelta, Field(discriminator="type")]


class Embeddings(Value):
    """One vector for each text, in their order."""

    vectors: tuple[tuple[float, ...], ...]
    model: str
    provider: str
    usage: Usage
    is_byollm: bool
    cost_nano_usd: int = 0


class Estimate(Value):
    """Before a call: what it would be sent as, how many input tokens that is about, and the most it may cost."""

    model: str
    provider: str
    is_byollm: bool
    input_tokens: int
    output_tokens_max: int
    cost_nano_usd_max: int
