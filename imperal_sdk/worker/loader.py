"""Import one extension, inside the sandbox, and describe it."""

import importlib
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from imperal_sdk.chat.extension import FunctionDef
from imperal_sdk.errors import ImperalError
from imperal_sdk.extension import Extension
from imperal_sdk.manifest import FunctionManifest, Manifest


class LoadError(Exception):
    """The extension cannot be used; the message tells its author why, in one short line."""

    def __init__(self, why: str) -> None:
        super().__init__(" ".join(why.split())[:500])


def load(module: str, attribute: str) -> Extension:
    """Import ``module`` and find its ``Extension``: ``attribute``, or the only one if that is empty."""
    try:
        imported = importlib.import_module(module)
    except ImperalError as error:
        raise LoadError(str(error)) from error
    except BaseException as error:
        # SystemExit and the like too: whatever importing does, it is this extension's failure.
        raise LoadError(f"importing {module} failed: {type(error).__name__}: {error}") from error
    return _find(imported, attribute)


def manifest_of(extension: Extension) -> Manifest:
    """What it says about itself. Raises ``LoadError``."""
    try:
        return describe(extension)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "manifest"
        raise LoadError(f"{where}: {first['msg']} (got {first['input']!r})") from None
    except Exception as error:
        raise LoadError(f"the manifest cannot be made: {type(error).__name__}: {error}") from error


def _find(module: ModuleType, attribute: str) -> Extension:
    if attribute:
        found = getattr(module, attribute, None)
        if isinstance(found, Extension):
            return found
        raise LoadError(f"{module.__name__}:{attribute} is not an Extension")
    candidates = {id(value): value for value in vars(module).values() if isinstance(value, Extension)}
    if len(candidates) == 1:
        return candidates.popitem()[1]
    problem = "has no Extension" if not candidates else "has more than one Extension"
    raise LoadError(f"{module.__name__} {problem} at its top level")


def describe(extension: Extension) -> Manifest:
    """The manifest. Raises pydantic's ``ValidationError`` when a declared value is out of bounds."""
    return Manifest(
        app_id=extension.app_id,
        version=extension.version,
        display_name=extension.display_name,
        description=extension.description,
        icon=extension.icon,
        capabilities=tuple(extension.capabilities),
        functions=tuple(_describe(function) for function in extension.functions.values()),
    )


def _describe(function: FunctionDef) -> FunctionManifest:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    if function.params_model is not None:
        schema = function.params_model.model_json_schema()
    return FunctionManifest(
        name=function.name,
        description=function.description,
        action_type=function.action_type,
        parameters=schema,
        event=function.event,
    )
