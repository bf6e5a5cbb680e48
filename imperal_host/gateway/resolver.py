"""Which model a request goes to. Pure: the same bindings give the same plan."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from imperal_host.errors import UnavailableError
from imperal_host.gateway.binding import Binding
from imperal_host.gateway.providers.base import Vendor
from imperal_host.gateway.providers.vendors import LOCAL

Source = Literal["user", "project", "extension", "purpose", "platform", "embedded"]


@dataclass(frozen=True, slots=True)
class Target:
    """One place a request may be sent. Without a ``binding`` it is the host's own model server.

    ``source`` says which configuration named it: it decides who pays. ``chosen_by`` says it in words.
    """

    vendor: Vendor
    model: str
    base_url: str
    source: Source
    binding: Binding | None
    chosen_by: str = ""

    @property
    def is_byollm(self) -> bool:
        """Whether it is the user's own."""
        return self.source == "user"

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


@dataclass(frozen=True, slots=True)
class Found:
    """The bindings that may have a say in one request, strongest first. An inactive one counts as none."""

    user: Binding | None = None
    project: Binding | None = None
    extension: Binding | None = None
    purpose: Binding | None = None
    platform: Binding | None = None
    local_model: str | None = None


def resolve(found: Found, purpose: str, vendors: Mapping[str, Vendor]) -> Plan:
    """User, else project, else the platform's: for the extension, for the purpose, in general, else the embedded model.

    Raises ``UnavailableError`` when there is nothing at all.
    """
    own: tuple[tuple[Source, Binding | None], ...] = (("user", found.user), ("project", found.project))
    for source, binding in own:
        if binding is not None and binding.is_active:
            first = bound(binding, vendors, source, purpose)
            spare = _platform_target(found, purpose, vendors) if binding.fallback == "platform" else None
            return Plan((first, spare) if spare else (first,))
    target = _platform_target(found, purpose, vendors)
    if target is None:
        raise UnavailableError(
            "no platform model is set; an admin sets one with 'imperal-host llm set --platform', or installs the "
            "embedded one with 'imperal-host model pull'"
        )
    return Plan((target,))


def _platform_target(found: Found, purpose: str, vendors: Mapping[str, Vendor]) -> Target | None:
    layers: tuple[tuple[Source, Binding | None], ...] = (
        ("extension", found.extension),
        ("purpose", found.purpose),
        ("platform", found.platform),
    )
    for source, binding in layers:
        if binding is not None and binding.is_active:
            return bound(binding, vendors, source, purpose)
    if found.local_model is not None:
        return Target(LOCAL, found.local_model, "", "embedded", None, "the embedded model")
    return None


def bound(binding: Binding, vendors: Mapping[str, Vendor], source: Source, purpose: str = "") -> Target:
    """Raises ``UnavailableError`` if its provider is gone."""
    vendor = vendors.get(binding.provider)
    if vendor is None:
        raise UnavailableError(f"the stored model's provider {binding.provider!r} is not known to this host any more")
    for_purpose = binding.models.get(purpose)
    by = binding.owner.name if for_purpose is None else f"{binding.owner.name}, purpose {purpose}"
    return Target(vendor, for_purpose or binding.model, binding.base_url, source, binding, by)
