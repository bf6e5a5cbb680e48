"""Types of the published SDK's surface."""

from imperal_sdk.types.action_result import ActionResult
from imperal_sdk.types.identity import TenantContext, UserContext
from imperal_sdk.types.models import CompletionResult

__all__ = ["ActionResult", "CompletionResult", "TenantContext", "UserContext"]
