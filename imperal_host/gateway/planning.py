"""Everything that is decided about a model call before anything is sent: which target, with which parameters."""

from collections.abc import Mapping
from dataclasses import dataclass

from imperal_host.gateway.binding import PLATFORM, owner_of, platform_owner, project_owner
from imperal_host.gateway.parameters import Layer, Resolved, admin_keys, resolve_parameters
from imperal_host.gateway.providers.base import Vendor
from imperal_host.gateway.resolver import Found, Plan, Target, resolve
from imperal_host.gateway.store import Bindings, Layers
from imperal_host.identity import Principal
from imperal_sdk.llm import Parameters

# The platform pays for its models: their output is bounded even if no layer says so.
PLATFORM_OUTPUT_TOKENS_MAX = 4_096
_PLATFORM_BOUND = Layer("platform bound", Parameters(max_tokens=PLATFORM_OUTPUT_TOKENS_MAX))


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would be sent, to which model, and which layer says so."""

    target: Target
    resolved: Resolved


class Planner:
    """``local_model`` is the name of the embedded model, if there is one."""

    def __init__(
        self, bindings: Bindings, layers: Layers, vendors: Mapping[str, Vendor], local_model: str | None
    ) -> None:
        self._bindings = bindings
        self._layers = layers
        self._vendors = vendors
        self._local_model = local_model

    async def plan(self, principal: Principal, extension: str, purpose: str = "", project: str = "") -> Plan:
        owners = {
            "user": owner_of(principal),
            "project": project_owner(principal.tenant, project) if project else None,
            "extension": platform_owner(extension=extension) if extension else None,
            "purpose": platform_owner(purpose=purpose) if purpose else None,
            "platform": PLATFORM,
        }
        asked = {name: owner for name, owner in owners.items() if owner is not None}
        found = dict(zip(asked, await self._bindings.of(list(asked.values())), strict=True))
        return resolve(Found(**found, local_model=self._local_model), purpose, self._vendors)

    async def describe(self, principal: Principal, extension: str, purpose: str = "", project: str = "") -> Target:
        """The model that this user's next call goes to first."""
        return (await self.plan(principal, extension, purpose, project)).targets[0]

    async def explain(
        self, principal: Principal, extension: str, purpose: str, project: str = "", call: Parameters | None = None
    ) -> Explanation:
        """Decide everything about a call, and send nothing."""
        target = await self.describe(principal, extension, purpose, project)
        return Explanation(target, await self.parameters(target, extension, purpose, call or Parameters()))

    async def parameters(self, target: Target, extension: str, purpose: str, call: Parameters) -> Resolved:
        dialect = target.vendor.dialect
        layers = [
            Layer("call", call),
            *await self._layers.of(admin_keys(extension, purpose)),
            Layer("provider default", dialect.defaults(target.model)),
        ]
        if not target.is_byollm:
            layers.append(_PLATFORM_BOUND)
        return resolve_parameters(layers, dialect.accepts(target.model))
