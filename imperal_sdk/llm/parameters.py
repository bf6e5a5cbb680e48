"""Sampling parameters, and the word for "not said here"."""

from enum import Enum
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue

from imperal_sdk.llm.value import Value

STOP_SEQUENCES_MAX = 16


class Unset(Enum):
    """The type of ``UNSET``: "not said here, let the cascade decide". ``0`` and ``0.0`` are values."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Final = Unset.UNSET


class Parameters(Value):
    """Sampling parameters of one layer. ``None`` means that this layer does not say.

    ``thinking``: ``off`` asks a reasoning model to answer at once, ``on`` to think first, ``auto`` leaves it to
    the model.
    """

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    stop_sequences: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] | None = Field(
        None, max_length=STOP_SEQUENCES_MAX
    )
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    seed: int | None = Field(None, ge=0, le=2**32 - 1)
    thinking: Literal["off", "on", "auto"] | None = None

    def said(self) -> dict[str, JsonValue]:
        """What this layer says, as JSON values: unset parameters are absent."""
        said: dict[str, JsonValue] = self.model_dump(mode="json", exclude_none=True)
        return said


class Origin(Value):
    """Where one parameter's value came from, or why it was not sent (``dropped``) or not as asked (``clamped``)."""

    layer: str
    value: JsonValue
    dropped: str = ""
    clamped: str = ""
