"""What an extension author imports.

The names resolve on first use: the worker imports ``imperal_sdk.worker`` before it has locked itself
down, at a time when no third-party package can be reached yet.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imperal_sdk.chat.extension import ChatExtension as ChatExtension
    from imperal_sdk.context import Context as Context
    from imperal_sdk.errors import APIError as APIError
    from imperal_sdk.errors import AuthError as AuthError
    from imperal_sdk.errors import ExtensionError as ExtensionError
    from imperal_sdk.errors import ImperalError as ImperalError
    from imperal_sdk.errors import NotFoundError as NotFoundError
    from imperal_sdk.errors import QuotaExceededError as QuotaExceededError
    from imperal_sdk.errors import RateLimitError as RateLimitError
    from imperal_sdk.errors import ValidationError as ValidationError
    from imperal_sdk.extension import Extension as Extension
    from imperal_sdk.types.action_result import ActionResult as ActionResult
    from imperal_sdk.types.identity import TenantContext as TenantContext
    from imperal_sdk.types.identity import UserContext as UserContext
    from imperal_sdk.types.models import CompletionResult as CompletionResult

_HOME = {
    "ActionResult": "imperal_sdk.types.action_result",
    "ChatExtension": "imperal_sdk.chat.extension",
    "CompletionResult": "imperal_sdk.types.models",
    "Context": "imperal_sdk.context",
    "Extension": "imperal_sdk.extension",
    "TenantContext": "imperal_sdk.types.identity",
    "UserContext": "imperal_sdk.types.identity",
    **dict.fromkeys(
        (
            "APIError",
            "AuthError",
            "ExtensionError",
            "ImperalError",
            "NotFoundError",
            "QuotaExceededError",
            "RateLimitError",
            "ValidationError",
        ),
        "imperal_sdk.errors",
    ),
}

__all__ = [
    "APIError",
    "ActionResult",
    "AuthError",
    "ChatExtension",
    "CompletionResult",
    "Context",
    "Extension",
    "ExtensionError",
    "ImperalError",
    "NotFoundError",
    "QuotaExceededError",
    "RateLimitError",
    "TenantContext",
    "UserContext",
    "ValidationError",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'imperal_sdk' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
