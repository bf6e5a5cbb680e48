"""What vendors demand of JSON Schemas that ours do not have, and whether it can be given without changing them."""

from collections.abc import Callable
from typing import Any

# https://platform.openai.com/docs/guides/structured-outputs, https://platform.claude.com/docs/en/build-with-claude/
# structured-outputs: constraints on values are not enforced there. The host checks the answer anyway.
_VALUE_CONSTRAINTS = frozenset(
    {
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
        *("pattern", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "default", "examples"),
    }
)
_UNSUPPORTED = frozenset({"allOf", "oneOf", "not", "if", "patternProperties", "prefixItems", "propertyNames"})
_DEPTH_MAX = 64


class CannotError(Exception):
    """The schema says something that the vendor cannot be told."""


def strict(schema: dict[str, Any]) -> dict[str, Any] | None:
    """The schema in OpenAI's strict form: every object closed, every property required. ``None`` if it has none."""
    return _closed(schema, all_required=True)


def closed(schema: dict[str, Any]) -> dict[str, Any] | None:
    """The schema in the form of Anthropic's output format: every object closed, no recursion. ``None`` if none."""
    if "$ref" in schema or _recursive(schema):
        return None
    return _closed(schema, all_required=False)


def with_items(schema: dict[str, Any]) -> dict[str, Any]:
    """Arrays say what is in them: some vendors refuse a tool whose arrays do not."""
    return _mapped(schema, lambda node: {**node, "items": {}} if node.get("type") == "array" else node, when="items")


def _closed(schema: dict[str, Any], *, all_required: bool) -> dict[str, Any] | None:
    def close(node: dict[str, Any]) -> dict[str, Any]:
        if _UNSUPPORTED & node.keys():
            raise CannotError
        node = {name: value for name, value in node.items() if name not in _VALUE_CONSTRAINTS}
        if node.get("type") != "object" and "properties" not in node:
            return node
        if node.get("additionalProperties", False) is not False or "properties" not in node:
            raise CannotError
        if all_required and set(node.get("required", ())) != set(node["properties"]):
            raise CannotError
        return {**node, "additionalProperties": False}

    try:
        return _mapped(schema, close)
    except CannotError:
        return None


def _mapped(
    node: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]], when: str = "", depth: int = 0
) -> dict[str, Any]:
    """The schema with every schema in it changed, innermost first. ``when``: only those that lack this member."""
    if depth > _DEPTH_MAX:
        raise CannotError
    mapped: dict[str, Any] = {}
    for name, value in node.items():
        if name in ("properties", "$defs", "definitions") and isinstance(value, dict):
            mapped[name] = {
                key: _mapped(inner, change, when, depth + 1) if isinstance(inner, dict) else inner
                for key, inner in value.items()
            }
        elif name in ("items", "additionalProperties", "not") and isinstance(value, dict):
            mapped[name] = _mapped(value, change, when, depth + 1) if value else value
        elif name in ("anyOf", "oneOf", "allOf") and isinstance(value, list):
            mapped[name] = [
                _mapped(inner, change, when, depth + 1) if isinstance(inner, dict) else inner for inner in value
            ]
        else:
            mapped[name] = value
    return mapped if when and when in mapped else change(mapped)


def _recursive(schema: dict[str, Any]) -> bool:
    """Whether a definition leads back to itself."""
    definitions = schema.get("$defs")
    if not isinstance(definitions, dict):
        return False
    leads = {name: _references(inner) for name, inner in definitions.items()}
    for start in leads:
        seen: set[str] = set()
        ahead = set(leads[start])
        while ahead:
            name = ahead.pop()
            if name == start:
                return True
            if name not in seen:
                seen.add(name)
                ahead |= leads.get(name, set())
    return False


def _references(node: Any) -> set[str]:
    found: set[str] = set()
    ahead = [node]
    while ahead:
        part = ahead.pop()
        if isinstance(part, dict):
            reference = part.get("$ref")
            if isinstance(reference, str):
                found.add(reference.rpartition("/")[2])
            ahead.extend(part.values())
        elif isinstance(part, list):
            ahead.extend(part)
    return found
