"""An answer as a pydantic model: asked for by its JSON Schema, validated, repaired once."""

import json
import re
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, SkipValidation
from pydantic import ValidationError as PydanticError

from imperal_sdk.errors import AnswerFormatError
from imperal_sdk.llm import Completion, LlmRequest, Message, ResponseSchema

T = TypeVar("T", bound=BaseModel)
_PROBLEMS_MAX = 10
_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n\s*```\s*\Z", re.DOTALL)


class Structured(Completion, Generic[T]):
    """A completion whose text was read as the model that was asked for."""

    parsed: SkipValidation[T]


def schema_of(model: type[BaseModel]) -> ResponseSchema:
    name = re.sub(r"[^A-Za-z0-9_-]", "_", model.__name__)[:64]
    return ResponseSchema(name=name, json_schema=model.model_json_schema())


def parsed(completion: Completion, model: type[T]) -> Structured[T]:
    """Raises ``AnswerFormatError``."""
    text = _answer_text(completion, schema_of(model).name)
    try:
        value = model.model_validate_json(text)
    except PydanticError as error:
        items = error.errors(include_url=False, include_context=False, include_input=False)[:_PROBLEMS_MAX]
        problems = tuple((".".join(map(str, item["loc"])) or "(answer)", str(item["msg"])) for item in items)
        raise AnswerFormatError(model.__name__, problems, text) from None
    return Structured[T](**{name: getattr(completion, name) for name in Completion.model_fields}, parsed=value)


def repair(request: LlmRequest, error: AnswerFormatError) -> LlmRequest:
    """The request again, with the answer and what is wrong with it."""
    wrong = "\n".join(f"- {field}: {message}" for field, message in error.problems)
    say = f"That is not valid:\n{wrong}\nAnswer again, with one JSON object of the schema and nothing else."
    more = (Message(role="assistant", content=error.text or "(nothing)"), Message(role="user", content=say))
    return request.model_copy(update={"messages": (*request.messages, *more)})


def _answer_text(completion: Completion, name: str) -> str:
    """Of a model without structured output it may stand in a fence, or be the input of a tool of that name."""
    for use in completion.tool_uses:
        if use.name == name:
            return json.dumps(use.input)
    text = completion.text
    fenced: Any = _FENCED.match(text)
    return fenced[1] if fenced else text
