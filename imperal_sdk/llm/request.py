"""What an extension asks of the gateway. It names no user, no key and no address."""

from typing import Annotated

from pydantic import Field, JsonValue

from imperal_sdk.llm.content import Message, Tool, ToolChoice
from imperal_sdk.llm.parameters import Parameters
from imperal_sdk.llm.value import Value

MESSAGES_MAX = 1_000
TOOLS_MAX = 128
TEXTS_MAX = 2_048
PURPOSE_PATTERN = r"[A-Za-z0-9_.-]{1,64}"

Purpose = Annotated[str, Field(pattern=rf"^(?:{PURPOSE_PATTERN})?$")]
ModelName = Annotated[str, Field(max_length=256)]


class ResponseSchema(Value):
    """The answer is to be one JSON object of this JSON Schema."""

    name: str = Field("answer", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    json_schema: dict[str, JsonValue]


class LlmRequest(Value):
    messages: tuple[Message, ...] = Field(min_length=1, max_length=MESSAGES_MAX)
    system: str = ""
    purpose: Purpose = ""
    model: ModelName = ""
    parameters: Parameters = Parameters()
    tools: tuple[Tool, ...] = Field((), max_length=TOOLS_MAX)
    tool_choice: ToolChoice | None = None
    response_schema: ResponseSchema | None = None


class EmbedRequest(Value):
    texts: tuple[str, ...] = Field(min_length=1, max_length=TEXTS_MAX)
    purpose: Purpose = "embedding"
    model: ModelName = ""
