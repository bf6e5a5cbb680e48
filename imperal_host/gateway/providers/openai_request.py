"""Our messages, tools and schemas in the words of OpenAI's Chat Completions."""

from collections.abc import Iterator
from typing import Any

import orjson

from imperal_host.gateway.providers.schema import strict, with_items
from imperal_sdk.llm import (
    Base64Source,
    ImageBlock,
    LlmRequest,
    Message,
    TextBlock,
    ThinkingBlock,
    Tool,
    ToolChoice,
    ToolResultBlock,
    ToolUseBlock,
)

Json = dict[str, Any]


def turns(request: LlmRequest, *, schema_in_words: bool, thinking_back: bool) -> list[Json]:
    """The messages. ``thinking_back``: this vendor wants its model's thinking given back."""
    system = request.system
    if schema_in_words and request.response_schema:
        system = "\n\n".join(filter(None, (system, _in_words(request.response_schema.json_schema))))
    told: list[Json] = [{"role": "system", "content": system}] if system else []
    for message in request.messages:
        if message.role == "assistant":
            told.append(_assistant(message, thinking_back))
        else:
            told.extend(_user(message))
    return told


def tools(request: LlmRequest, *, forced_schema: bool) -> Json:
    """``tools`` and ``tool_choice``. ``forced_schema``: a tool stands for the response schema, and must be used."""
    listed = [_function(tool) for tool in request.tools]
    choice = request.tool_choice
    if forced_schema and request.response_schema:
        name = request.response_schema.name
        listed.append(_function(Tool(name=name, input_schema=request.response_schema.json_schema)))
        choice = ToolChoice(type="any") if request.tools else ToolChoice(type="tool", name=name)
    if not listed:
        return {}
    body: Json = {"tools": listed}
    if choice:
        body["tool_choice"] = _choice(choice)
        if choice.disable_parallel_tool_use and choice.type != "none":
            body["parallel_tool_calls"] = False
    return body


def json_schema_format(request: LlmRequest) -> Json:
    """``response_format``: strict where the schema can be said so without changing what it means."""
    asked = request.response_schema
    if not asked:
        return {}
    exact = strict(asked.json_schema)
    schema: Json = {"name": asked.name, "schema": exact or asked.json_schema, "strict": exact is not None}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _in_words(schema: Json) -> str:
    text = orjson.dumps(schema).decode()
    return f"Answer with one JSON object that matches this JSON Schema, and with nothing else:\n{text}"


def _assistant(message: Message, thinking_back: bool) -> Json:
    uses = [block for block in message.blocks if isinstance(block, ToolUseBlock)]
    told: Json = {"role": "assistant", "content": message.text}
    if uses:
        told["content"] = message.text or None
        told["tool_calls"] = [
            {
                "id": use.id,
                "type": "function",
                "function": {"name": use.name, "arguments": orjson.dumps(use.input).decode()},
            }
            for use in uses
        ]
    if thinking_back:
        thought = "".join(block.thinking for block in message.blocks if isinstance(block, ThinkingBlock))
        told |= {"reasoning_content": thought} if thought else {}
    return told


def _user(message: Message) -> Iterator[Json]:
    """Results of tools are messages of their own and hold text only: their pictures follow in the user's."""
    parts: list[Json] = []
    results = 0
    for block in message.blocks:
        if isinstance(block, ToolResultBlock):
            results += 1
            text = f"Error: {block.text}" if block.is_error else block.text
            yield {"role": "tool", "tool_call_id": block.tool_use_id, "content": text}
            if not isinstance(block.content, str):
                parts.extend(_picture(inner) for inner in block.content if isinstance(inner, ImageBlock))
        elif isinstance(block, ImageBlock):
            parts.append(_picture(block))
        elif isinstance(block, TextBlock):
            parts.append({"type": "text", "text": block.text})
    if any(part["type"] != "text" for part in parts):
        yield {"role": "user", "content": parts}
    elif parts or not results:
        yield {"role": "user", "content": message.text}


def _picture(block: ImageBlock) -> Json:
    source = block.source
    url = f"data:{source.media_type};base64,{source.data}" if isinstance(source, Base64Source) else source.url
    return {"type": "image_url", "image_url": {"url": url}}


def _function(tool: Tool) -> Json:
    function: Json = {"name": tool.name, "parameters": with_items(tool.input_schema)}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _choice(choice: ToolChoice) -> str | Json:
    match choice.type:
        case "any":
            return "required"
        case "tool":
            return {"type": "function", "function": {"name": choice.name}}
        case word:
            return word
