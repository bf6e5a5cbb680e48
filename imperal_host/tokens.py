"""Bearer tokens: who holds one, and as whom they act. Only a SHA-256 of a token is stored.

A token is 32 random bytes, so a fast hash is enough: there is nothing to guess.
"""

import hashlib
import secrets
from dataclasses import dataclass

from imperal_host.clock import Clock, new_id
from imperal_host.errors import InvalidError, NotFoundError, Problem, UnauthenticatedError
from imperal_host.identity import Principal, TenantId, UserId, checked_name
from imperal_host.storage.database import Database, Row, Transaction

_PREFIX = "imp_"


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token as it may be shown: not the token."""

    id: str
    principal: Principal
    created_at: int
    revoked: bool


class Tokens:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, principal: Principal) -> str:
        """A new token, told this once."""
        token = _PREFIX + secrets.token_urlsafe(32)
        await self._database.write(lambda t: self._insert(t, principal, token))
        return token

    async def create_first_admin(self) -> str | None:
        """The admin's token on the very first run, else ``None``."""
        token = _PREFIX + secrets.token_urlsafe(32)
        admin = Principal(TenantId("platform"), UserId("admin"), role="admin", scopes=("*",))

        def insert(transaction: Transaction) -> bool:
            if transaction.row("select 1 from token where role = 'admin'"):
                return False
            self._insert(transaction, admin, token)
            return True

        return token if await self._database.write(insert) else None

    def _insert(self, transaction: Transaction, principal: Principal, token: str) -> None:
        checked_name("tenant", principal.tenant)
        checked_name("user", principal.user)
        if len(principal.email) > 320 or not (principal.email.isprintable() and " " not in principal.email):
            message = "at most 320 printable characters, no spaces"
            raise InvalidError(f"email: {message}", (Problem("email", message),))
        if any(scope.split() != [scope] for scope in principal.scopes):
            message = "a scope has no spaces: stored scopes are separated by them"
            raise InvalidError(f"scopes: {message}", (Problem("scopes", message),))
        transaction.run(
            "insert into token values (?, ?, ?, ?, ?, ?, ?, ?, null)",
            (
                new_id(self._clock),
                _hash(token),
                principal.tenant,
                principal.user,
                principal.email,
                principal.role,
                " ".join(principal.scopes),
                int(self._clock.now()),
            ),
        )

    async def principal(self, token: str) -> Principal:
        """Raises ``UnauthenticatedError`` for an unknown or revoked token, without saying which."""
        row = await self._database.read(
            lambda t: t.row(_SELECT + " where hash = ? and revoked_at is null", (_hash(token),))
        )
        if row is None:
            raise UnauthenticatedError("this token is not known here; make one with 'imperal-host token create'")
        return _info(row).principal

    async def erase(self, tenant: TenantId, user: UserId) -> int:
        """Revoke every token of a user's and forget their address; how many had been in use."""
        now = int(self._clock.now())
        who = (tenant, user)

        def work(transaction: Transaction) -> int:
            transaction.run("update token set email = '' where tenant = ? and user = ?", who)
            return transaction.run(
                "update token set revoked_at = ? where tenant = ? and user = ? and revoked_at is null", (now, *who)
            )

        return await self._database.write(work)

    async def all(self) -> list[TokenInfo]:
        rows = await self._database.read(lambda t: t.rows(_SELECT + " order by created_at, id"))
        return [_info(row) for row in rows]

    async def revoke(self, token_id: str) -> None:
        now = int(self._clock.now())
        changed = await self._database.write(
            lambda t: t.run("update token set revoked_at = ? where id = ? and revoked_at is null", (now, token_id))
        )
        if not changed:
            raise NotFoundError(f"no token with id {token_id!r} is in use; 'imperal-host token list' shows them")


_SELECT = "select id, tenant, user, email, role, scopes, created_at, revoked_at from token"


def _info(row: Row) -> TokenInfo:
    id_, tenant, user, email, role, scopes, created_at, revoked_at = row
    principal = Principal(TenantId(tenant), UserId(user), email, role, tuple(scopes.split()))
    return TokenInfo(id_, principal, created_at, revoked_at is not None)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
