"""Value types of one model call, shared by extensions, the wire and the host's gateway.

Messages and content blocks have the shape of Anthropic's Messages API
(https://docs.anthropic.com/en/api/messages); the gateway translates to other dialects.
"""

from enum import Enum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

MESSAGES_MAX = 1_000
STOP_SEQUENCES_MAX = 16
PURPOSE_PATTERN = r"[A-Za-z0-9_.-]{1,64}"


class Unset(Enum):
    """The type of ``UNSET``: "not said here, let the cascade decide". ``0`` and ``0.0`` are values."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Final = Unset.UNSET


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TextBlock(_Value):
    type: Literal["text"] = "text"
    text: str


class Message(_Value):
    role: Literal["user", "assistant"]
    content: str | tuple[TextBlock, ...]

    @property
    def text(self) -> str:
        """The text of the message, whichever of the two shapes its content has."""
        if isinstance(self.content, str):
            return self.content
        return "".join(block.text for block in self.content)


class Parameters(_Value):
    """Sampling parameters of one layer. ``None`` means that this layer does not say."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    stop_sequences: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] | None = Field(
        None, max_length=STOP_SEQUENCES_MAX
    )
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    seed: int | None = Field(None, ge=0, le=2**32 - 1)

    def said(self) -> dict[str, JsonValue]:
        """What this layer says, as JSON values: unset parameters are absent."""
        said: dict[str, JsonValue] = self.model_dump(mode="json", exclude_none=True)
        return said


class LlmRequest(_Value):
    """What an extension asks of the gateway. It names no user, no key and no address."""

    messages: tuple[Message, ...] = Field(min_length=1, max_length=MESSAGES_MAX)
    system: str = ""
    purpose: str = Field("", pattern=rf"^(?:{PURPOSE_PATTERN})?$")
    model: str = Field("", max_length=256)
    parameters: Parameters = Parameters()


class Usage(_Value):
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


class Origin(_Value):
    """Where one parameter's value came from, or why it was not sent."""

    layer: str
    value: JsonValue
    dropped: str = ""


class Completion(_Value):
    """The answer of a model.

    ``stop_reason`` uses Anthropic's words: end_turn, max_tokens, stop_sequence, tool_use, refusal.
    ``provenance`` maps each parameter to the layer that set it.
    """

    content: tuple[TextBlock, ...]
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
        return "".join(block.text for block in self.content)

    @property
    def tokens_used(self) -> int:
        return self.usage.input_tokens + self.usage.output_tokens
