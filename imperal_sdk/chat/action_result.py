"""The published SDK's second home of ``ActionResult``."""

from imperal_sdk.types.action_result import ActionResult

__all__ = ["ActionResult"]
