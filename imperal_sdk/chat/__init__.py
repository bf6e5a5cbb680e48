"""The ``@chat.function`` surface."""

from imperal_sdk.chat.extension import ChatExtension, FunctionDef
from imperal_sdk.types.action_result import ActionResult

__all__ = ["ActionResult", "ChatExtension", "FunctionDef"]
