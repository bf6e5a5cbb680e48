"""A stored LLM configuration, and what makes one acceptable."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal

import httpx

from imperal_host.errors import InvalidError, Problem
from imperal_host.gateway.addresses import AddressGuard, endpoint_of, is_metadata_name
from imperal_host.gateway.providers.base import Vendor
from imperal_host.identity import Principal, TenantId, checked_name
from imperal_sdk.llm import PURPOSE_PATTERN

Fallback = Literal["error", "platform"]
KEY_CHARACTERS_MAX = 4_096
PURPOSES_MAX = 64
PLATFORM_TENANT = TenantId("~platform")  # no name of a real tenant begins with a tilde

_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose binding it is; also the name of its secret in the tenant's view of the vault."""

    tenant: TenantId
    name: str

    @property
    def secret_name(self) -> str:
        return f"llm/{self.name}"


PLATFORM = Owner(PLATFORM_TENANT, "platform")


def owner_of(principal: Principal) -> Owner:
    return Owner(principal.tenant, f"user/{principal.user}")


def project_owner(tenant: TenantId, project: str) -> Owner:
    """A project belongs to one tenant. Raises ``InvalidError`` for what can be no project's id."""
    return Owner(tenant, f"project/{checked_name('project', project)}")


def platform_owner(extension: str = "", purpose: str = "") -> Owner:
    """The platform's model for one extension or one purpose, or in general."""
    if extension:
        return Owner(PLATFORM_TENANT, f"extension/{extension}")
    return Owner(PLATFORM_TENANT, f"purpose/{purpose}") if purpose else PLATFORM


@dataclass(frozen=True, slots=True)
class BindingDraft:
    """What somebody wants stored. ``api_key`` ``None`` keeps the stored key."""

    provider: str
    model: str
    base_url: str = ""
    display_name: str = ""
    is_active: bool = True
    fallback: Fallback = "error"
    api_key: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Binding:
    """A stored configuration. The key is in the vault, under the owner's name and this version."""

    owner: Owner
    version: int
    provider: str
    model: str
    base_url: str
    display_name: str
    is_active: bool
    fallback: Fallback
    key_prefix: str
    updated_at: int
    models: Mapping[str, str] = field(default_factory=dict)  # by purpose

    @property
    def destination(self) -> tuple[str, str]:
        """What the key is sealed for: it opens for no other provider or address."""
        return self.provider, self.base_url


def checked(draft: BindingDraft, vendors: Mapping[str, Vendor], guard: AddressGuard, stored: Binding | None) -> str:
    """The base URL to store, or ``InvalidError`` with every problem of the draft."""
    problems: list[Problem] = []
    vendor = vendors.get(draft.provider)
    base_url = draft.base_url or (vendor.base_url if vendor else "")
    if vendor is None:
        problems.append(Problem("provider", f"one of {', '.join(sorted(vendors))}, not {draft.provider[:64]!r}"))
    if not _is_model(draft.model):
        problems.append(Problem("model", "the model's name, 1 to 256 printable characters"))
    problems += _models_problems(draft.models)
    if len(draft.display_name) > 200 or not (draft.display_name.isprintable()):
        problems.append(Problem("display_name", "at most 200 printable characters"))
    if vendor is not None or base_url:
        problems += _url_problems(base_url, guard)
    problems += _key_problems(draft, vendor, base_url, stored)
    if problems:
        raise InvalidError("; ".join(f"{p.field}: {p.message}" for p in problems), tuple(problems))
    return base_url


def _is_model(name: str) -> bool:
    return 0 < len(name) <= 256 and name.isprintable()


def _models_problems(models: Mapping[str, str]) -> list[Problem]:
    if len(models) > PURPOSES_MAX:
        return [Problem("models", f"at most {PURPOSES_MAX} purposes")]
    return [
        Problem(f"models.{purpose[:64]}", "a purpose (letters, digits, _.-) and the name of its model")
        for purpose, model in models.items()
        if not re.fullmatch(PURPOSE_PATTERN, purpose) or not _is_model(model)
    ]


def _url_problems(base_url: str, guard: AddressGuard) -> list[Problem]:
    if not base_url:
        return [Problem("base_url", "this provider needs the address of the model's server")]
    try:
        url = httpx.URL(base_url)
        host = url.host  # decodes an international name, and may fail at it
    except (httpx.InvalidURL, ValueError):
        return [Problem("base_url", "not a URL")]
    if url.scheme not in ("https", "http") or not host:
        return [Problem("base_url", "begins with https:// (or http:// for an allow-listed private address)")]
    if url.port is not None and not 0 < url.port < 2**16:
        return [Problem("base_url", "has a port from 1 to 65535")]
    if url.userinfo or url.query or url.fragment or len(base_url) > 2_048:
        return [Problem("base_url", "has no user, password, query or fragment, and at most 2,048 characters")]
    if is_metadata_name(host):
        return [Problem("base_url", "is a cloud's metadata service, which is never reached")]
    endpoint = endpoint_of(url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80))
    try:
        address = ip_address(host)
    except ValueError:
        if not _HOST.fullmatch(url.raw_host.decode("ascii")):
            return [Problem("base_url", "has a host of letters, digits, dots and hyphens")]
        if host == "localhost" and not guard.any_private:
            return [
                Problem("base_url", "localhost is not public; the operator may allow it with IMPERAL_PRIVATE_NETWORKS")
            ]
        return _clear_text_problems(url.scheme == "https" or guard.any_private)
    if not guard.permits(address, endpoint):
        why = "is not public; the operator may allow it with IMPERAL_PRIVATE_NETWORKS"
        return [Problem("base_url", f"{host} {why}")]
    return _clear_text_problems(url.scheme == "https" or guard.is_allow_listed(address, endpoint))


def _clear_text_problems(fine: bool) -> list[Problem]:
    return [] if fine else [Problem("base_url", "a public address is reached by https:// only")]


def keeps_key(draft: BindingDraft, base_url: str, stored: Binding | None) -> bool:
    """Whether the stored key goes on being used: none was given, and it would go where it went before."""
    same_place = stored is not None and (draft.provider, base_url) == (stored.provider, stored.base_url)
    return draft.api_key is None and same_place


def _key_problems(draft: BindingDraft, vendor: Vendor | None, base_url: str, stored: Binding | None) -> list[Problem]:
    malformed = len(draft.api_key or "") > KEY_CHARACTERS_MAX or not _PRINTABLE.fullmatch(draft.api_key or "x")
    if malformed:
        return [Problem("api_key", f"1 to {KEY_CHARACTERS_MAX:,} printable ASCII characters, no spaces or line breaks")]
    if vendor is None or draft.api_key or keeps_key(draft, base_url, stored):
        return []
    if draft.api_key is None and stored is not None:
        again = 'give the key again when the provider or the base URL changes ("" for none)'
        return [Problem("api_key", again)]
    return [Problem("api_key", "this provider needs a key")] if vendor.needs_key else []
