from collections.abc import Generator
from typing import Any

from dify_plugin import Tool
from dify_plugin.entities.tool import ToolInvokeMessage
from pydantic import BaseModel, Field


class EchoParams(BaseModel):
    text: str = Field(min_length=1)
    number: int = Field(ge=0)
    tags: list[str] = []


class EchoTool(Tool):
    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        yield self.create_json_message(EchoParams.model_validate(tool_parameters).model_dump())
