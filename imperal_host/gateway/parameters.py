"""The cascade: which layer sets which parameter. Pure.

Order, first that says something wins: the call, (extension, purpose), the extension, the purpose, the
platform, the dialect's own default. A parameter that the model does not take is dropped, and said so.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from imperal_host.errors import InvalidError, Problem
from imperal_sdk.llm import PURPOSE_PATTERN, Origin, Parameters
from imperal_sdk.manifest import APP_ID_PATTERN


@dataclass(frozen=True, slots=True)
class LayerKey:
    """Where an admin's layer stands. Both empty: the platform. Raises ``InvalidError`` for what can never match."""

    extension: str = ""
    purpose: str = ""

    def __post_init__(self) -> None:
        for name, value, pattern in (
            ("extension", self.extension, APP_ID_PATTERN),
            ("purpose", self.purpose, PURPOSE_PATTERN),
        ):
            if value and not re.fullmatch(pattern, value):
                message = f"{value[:64]!r} can be no {name}; it matches {pattern}"
                raise InvalidError(f"{name}: {message}", (Problem(name, message),))

    def __str__(self) -> str:
        match (self.extension, self.purpose):
            case ("", ""):
                return "platform"
            case (extension, ""):
                return f"extension {extension}"
            case ("", purpose):
                return f"purpose {purpose}"
            case (extension, purpose):
                return f"extension {extension}, purpose {purpose}"


@dataclass(frozen=True, slots=True)
class Layer:
    name: str
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Resolved:
    """``values`` are sent; ``provenance`` covers them and what was dropped."""

    values: dict[str, JsonValue]
    provenance: dict[str, Origin]


def admin_keys(extension: str, purpose: str) -> tuple[LayerKey, ...]:
    """The admin layers that apply, strongest first. Without a purpose there are only two."""
    keys = [LayerKey(extension), LayerKey()]
    if purpose:
        keys = [LayerKey(extension, purpose), LayerKey(extension), LayerKey(purpose=purpose), LayerKey()]
    return tuple(keys)


def resolve_parameters(layers: Sequence[Layer], accepted: frozenset[str]) -> Resolved:
    """``layers`` come strongest first."""
    values: dict[str, JsonValue] = {}
    provenance: dict[str, Origin] = {}
    for layer in layers:
        for name, value in layer.parameters.said().items():
            if name in provenance:
                continue
            if name in accepted:
                values[name] = value
                provenance[name] = Origin(layer=layer.name, value=value)
            else:
                provenance[name] = Origin(layer=layer.name, value=value, dropped="this model does not take it")
    return Resolved(values, provenance)
