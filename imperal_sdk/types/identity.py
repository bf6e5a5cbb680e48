"""Who a call is for, as the extension may know it."""

from pydantic import BaseModel, ConfigDict, Field


class UserContext(BaseModel):
    model_config = ConfigDict(frozen=True)

    imperal_id: str = Field(min_length=1)
    email: str = ""
    tenant_id: str = Field(min_length=1)
    role: str = "user"
    scopes: list[str] = []
    attributes: dict[str, object] = {}
    is_active: bool = True

    def has_scope(self, scope: str) -> bool:
        """``*`` grants everything, ``notes.*`` everything below ``notes``."""
        return any(
            held in ("*", scope) or (held.endswith(".*") and scope.startswith(held[:-1])) for held in self.scopes
        )

    def has_role(self, role: str) -> bool:
        return self.role == role


class TenantContext(BaseModel):
    model_config = ConfigDict(frozen=True)

    tenant_id: str = Field(min_length=1)
    name: str = ""
    is_active: bool = True
    features: dict[str, object] = {}
    isolation: str = "shared"
