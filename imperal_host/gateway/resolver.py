"""Which model a request goes to. Pure: the same bindings give the same plan."""

from collections.abc import Mapping
from dataclasses import dataclass

from imperal_host.errors import UnavailableError
from imperal_host.gateway.binding import Binding
from imperal_host.gateway.providers.base import Vendor
from imperal_host.gateway.providers.vendors import LOCAL


@dataclass(frozen=True, slots=True)
class Target:
    """One place a request may be sent. Without a ``binding`` it is the host's own model server."""

    vendor: Vendor
    model: str
    base_url: str
    is_byollm: bool
    binding: Binding | None

    @property
    def key(self) -> tuple[str, ...]:
        """Whose configuration it is, in which version."""
        if self.binding is None:
            return ("local",)
        return self.binding.owner.tenant, self.binding.owner.name, str(self.binding.version), self.model


@dataclass(frozen=True, slots=True)
class Plan:
    """Targets in order. There is a second one only if the owner of the first chose to fall back."""

    targets: tuple[Target, ...]


def resolve(
    user: Binding | None, platform: Binding | None, local_model: str | None, vendors: Mapping[str, Vendor]
) -> Plan:
    """User binding, else platform binding, else the embedded model. An inactive binding counts as none.

    Raises ``UnavailableError`` when there is nothing at all.
    """
    if user is None or not user.is_active:
        target = _platform_target(platform, local_model, vendors)
        if target is None:
            raise UnavailableError(
                "no platform model is set; an admin sets one with 'imperal-host llm set --platform', or installs the "
                "embedded one with 'imperal-host model pull'"
            )
        return Plan((target,))
    own = _bound(user, vendors, is_byollm=True)
    spare = _platform_target(platform, local_model, vendors) if user.fallback == "platform" else None
    return Plan((own, spare) if spare else (own,))


def _platform_target(platform: Binding | None, local_model: str | None, vendors: Mapping[str, Vendor]) -> Target | None:
    if platform is not None and platform.is_active:
        return _bound(platform, vendors, is_byollm=False)
    if local_model is not None:
        return Target(LOCAL, local_model, "", is_byollm=False, binding=None)
    return None


def _bound(binding: Binding, vendors: Mapping[str, Vendor], *, is_byollm: bool) -> Target:
    vendor = vendors.get(binding.provider)
    if vendor is None:
        raise UnavailableError(f"the stored model's provider {binding.provider!r} is not known to this host any more")
    return Target(vendor, binding.model, binding.base_url, is_byollm, binding)
