"""What a Claude model takes, by its name (https://platform.claude.com/docs/en/build-with-claude/thinking).

Generations differ: to 4.5 thinking has a budget, from 4.6 on the model paces itself; from 4.7 on there are no
sampling parameters; what came after 5 cannot be told not to think.
"""

import re
from typing import Any

from pydantic import JsonValue

_NAME = re.compile(r"claude-(?:([a-z]+)-)?(\d+)(?:[-.](\d{1,2}))?(?!\d)")
_ALWAYS_THINKS = re.compile(r"claude-(?:fable|mythos)")
_BUDGET_MIN = 1_024
_NEWEST = (99, 0)

_BASIC = frozenset({"max_tokens", "stop_sequences", "thinking"})
_SAMPLING = frozenset({"temperature", "top_p"})


def generation(model: str) -> tuple[int, int]:
    """(4, 5) of ``claude-sonnet-4-5-20250929``; (0, 0) of a name that says none."""
    if _ALWAYS_THINKS.search(model):
        return _NEWEST
    found = _NAME.search(model)
    return (int(found[2]), int(found[3] or 0)) if found else (0, 0)


def accepts(model: str) -> frozenset[str]:
    return _BASIC if generation(model) >= (4, 7) else _BASIC | _SAMPLING


def has_output_format(model: str) -> bool:
    """Other servers of this dialect ignore it: an answer of a schema is a forced tool there."""
    return generation(model) >= (4, 5)


def thinking(model: str, wish: JsonValue, tokens_max: int, *, forced_tool: bool) -> dict[str, Any]:
    """The members of the body for ``wish`` (on, off or anything else).

    A forced tool and thinking exclude each other, and a budget must fit within ``tokens_max``: then it is left out.
    """
    version = generation(model)
    match wish:
        case "on" if version >= (4, 6):
            return {} if forced_tool else {"thinking": {"type": "adaptive"}}
        case "on":
            budget = max(_BUDGET_MIN, tokens_max // 2)
            if forced_tool or budget >= tokens_max:
                return {}
            return {"thinking": {"type": "enabled", "budget_tokens": budget}}
        case "off" if version == (5, 0):
            return {"thinking": {"type": "disabled"}}
        case "off" if version > (5, 0):
            return {"output_config": {"effort": "low"}}
    return {}
