"""Who, what and for whom. Values only."""

import re
from dataclasses import dataclass
from typing import NewType

from imperal_host.errors import InvalidError, Problem

TenantId = NewType("TenantId", str)
UserId = NewType("UserId", str)
CallId = NewType("CallId", str)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,127}")


def checked_name(kind: str, name: str) -> str:
    """A tenant's or user's name: letters, digits and ``_.@+-``. Raises ``InvalidError``."""
    if not _NAME.fullmatch(name):
        message = f"a {kind} is 1 to 128 letters, digits or any of _.@+- and begins with a letter or digit"
        raise InvalidError(f"{kind} {name!r}: {message}", (Problem(kind, message),))
    return name


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking: one user of one tenant."""

    tenant: TenantId
    user: UserId
    email: str = ""
    role: str = "user"
    scopes: tuple[str, ...] = ()

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"

    def may_use_project(self, project: str) -> bool:
        """An admin; or a token with the scope ``projects`` (all of its tenant) or ``project:ID``."""
        return self.is_admin or not {"projects", f"project:{project}"}.isdisjoint(self.scopes)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a piece of work is done for: fixed when the call is accepted, never widened."""

    call: CallId
    principal: Principal
    extension: str
    extension_version: str
    function: str
    project: str = ""


@dataclass(frozen=True, slots=True)
class Package:
    """Where an extension's code lies. Known from metadata only; nothing of it has run.

    ``mounts`` are (path on the host, path inside the sandbox); ``import_path`` is inside the sandbox.
    ``known_as``, where it is set, is the id that its manifest must bear. ``revision`` tells two loadings of one
    extension apart, also where all else is the same: they never share an isolate.
    """

    name: str
    module: str
    attribute: str
    mounts: tuple[tuple[str, str], ...]
    import_path: tuple[str, ...]
    origin: str
    is_operators_own: bool = False  # a folder that the operator pointed at
    known_as: str = ""
    revision: str = ""
