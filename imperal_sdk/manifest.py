"""What an extension says about itself: plain data, made inside the sandbox, read by the host."""

import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

APP_ID_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}[a-z0-9]$"
FUNCTION_NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
VERSION_PATTERN = r"^[0-9]+\.[0-9]+\.[0-9]+(?:[-+.][0-9A-Za-z.+-]+)?$"
FUNCTIONS_MAX = 500

ActionType = Literal["read", "write", "destructive"]


class FunctionManifest(BaseModel):
    """One callable function. ``parameters`` is a JSON Schema (2020-12, as pydantic writes it)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=FUNCTION_NAME_PATTERN)
    description: str = Field("", max_length=4_000)
    action_type: ActionType = "read"
    parameters: dict[str, JsonValue] = {}
    event: str = Field("", max_length=200)

    @field_validator("parameters")
    @classmethod
    def _json_can_say_it(cls, parameters: dict[str, JsonValue]) -> dict[str, JsonValue]:
        json.dumps(parameters, allow_nan=False)  # raises ValueError: JSON has no NaN and no infinity
        return parameters


class Manifest(BaseModel):
    """An extension as the host knows it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    app_id: str = Field(pattern=APP_ID_PATTERN)
    version: str = Field(pattern=VERSION_PATTERN, max_length=64)
    display_name: str = Field("", max_length=200)
    description: str = Field("", max_length=4_000)
    icon: str = Field("", max_length=100_000)
    capabilities: tuple[Annotated[str, Field(max_length=100)], ...] = Field((), max_length=100)
    functions: tuple[FunctionManifest, ...] = Field((), max_length=FUNCTIONS_MAX)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [function.name for function in self.functions]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two functions are named {twice[0]!r}")
        return self

    def function(self, name: str) -> FunctionManifest | None:
        return next((function for function in self.functions if function.name == name), None)
