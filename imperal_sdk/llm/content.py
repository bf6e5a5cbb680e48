"""Messages, content blocks and tools, in the shape of Anthropic's Messages API.

https://docs.anthropic.com/en/api/messages. The gateway translates to other dialects and back.
"""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from imperal_sdk.llm.value import Value

TOOL_NAME_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"


class TextBlock(Value):
    type: Literal["text"] = "text"
    text: str


class Base64Source(Value):
    type: Literal["base64"] = "base64"
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str = Field(pattern=r"^[A-Za-z0-9+/]+={0,2}$")


class UrlSource(Value):
    """The model's provider fetches it, not the host."""

    type: Literal["url"] = "url"
    url: str = Field(pattern=r"^https://", max_length=4_096)


class ImageBlock(Value):
    type: Literal["image"] = "image"
    source: Annotated[Base64Source | UrlSource, Field(discriminator="type")]


class ThinkingBlock(Value):
    """What a model thought, to be given back unchanged; ``signature`` is the provider's own."""

    type: Literal["thinking"] = "thinking"
    thinking: str
    signature: str = ""


class ToolUseBlock(Value):
    """The model asks for a tool. ``id`` comes back in the result's ``tool_use_id``."""

    type: Literal["tool_use"] = "tool_use"
    id: str = Field(min_length=1, max_length=256)
    name: str = Field(min_length=1, max_length=256)
    input: dict[str, JsonValue]


class ToolResultBlock(Value):
    type: Literal["tool_result"] = "tool_result"
    tool_use_id: str = Field(min_length=1, max_length=256)
    content: str | tuple[Annotated[TextBlock | ImageBlock, Field(discriminator="type")], ...] = ""
    is_error: bool = False

    @property
    def text(self) -> str:
        return text_of(self.content)


Block = Annotated[TextBlock | ImageBlock | ThinkingBlock | ToolUseBlock | ToolResultBlock, Field(discriminator="type")]
CompletionBlock = Annotated[TextBlock | ThinkingBlock | ToolUseBlock, Field(discriminator="type")]


class Message(Value):
    role: Literal["user", "assistant"]
    content: str | tuple[Block, ...]

    @property
    def text(self) -> str:
        """The text blocks of the message, joined."""
        return text_of(self.content)

    @property
    def blocks(self) -> tuple[Block, ...]:
        return (TextBlock(text=self.content),) if isinstance(self.content, str) else self.content


class Tool(Value):
    """A function the model may ask for. ``input_schema`` is a JSON Schema of an object."""

    name: str = Field(pattern=TOOL_NAME_PATTERN)
    description: str = Field("", max_length=8_192)
    input_schema: dict[str, JsonValue] = {"type": "object", "properties": {}}


class ToolChoice(Value):
    """``any``: some tool must be used; ``tool``: the one called ``name``."""

    type: Literal["auto", "any", "tool", "none"] = "auto"
    name: str = ""
    disable_parallel_tool_use: bool = False


def text_of(content: "str | tuple[Block, ...] | tuple[TextBlock | ImageBlock, ...]") -> str:
    if isinstance(content, str):
        return content
    return "".join(block.text for block in content if isinstance(block, TextBlock))
