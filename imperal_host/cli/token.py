"""``imperal-host token``: who may use the HTTP API."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from imperal_host.app import Stores
from imperal_host.cli.options import AsJson, Tenant, User
from imperal_host.cli.run import out, principal, with_stores
from imperal_host.identity import Principal
from imperal_host.tokens import TokenInfo

app = typer.Typer(no_args_is_help=True, help="Bearer tokens of the HTTP API.")


@app.command()
def create(
    tenant: Tenant = "default",
    user: User = "local",
    email: Annotated[str, typer.Option(help="Told to extensions as ctx.user.email.")] = "",
    admin: Annotated[bool, typer.Option("--admin", help="May use /v1/admin.")] = False,
    scope: Annotated[list[str] | None, typer.Option(help="A scope; may be repeated.")] = None,
) -> None:
    """Make a token and print it, this once."""
    who = principal(tenant, user)
    holder = Principal(who.tenant, who.user, email, "admin" if admin else "user", tuple(scope or ()))

    async def work(stores: Stores) -> str:
        return await stores.tokens.create(holder)

    out.print(with_stores(work))


@app.command(name="list")
def list_(as_json: AsJson = False) -> None:
    """List tokens: not the tokens themselves, which are stored only as hashes."""

    async def work(stores: Stores) -> list[TokenInfo]:
        return await stores.tokens.all()

    tokens = with_stores(work)
    if as_json:
        rows = [
            {
                "id": t.id,
                "tenant": t.principal.tenant,
                "user": t.principal.user,
                "role": t.principal.role,
                "revoked": t.revoked,
            }
            for t in tokens
        ]
        out.print_json(data=rows)
        return
    if not tokens:
        out.print("No tokens yet. 'imperal-host serve' makes the admin's on its first run.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "tenant", "user", "role", "made", ""):
        table.add_column(column)
    for info in tokens:
        made = datetime.fromtimestamp(info.created_at, UTC).strftime("%Y-%m-%d %H:%M")
        who = info.principal
        table.add_row(info.id, who.tenant, who.user, who.role, made, "revoked" if info.revoked else "")
    out.print(table)


@app.command()
def revoke(token_id: str) -> None:
    """Revoke a token by its id. It stops working with the next request."""

    async def work(stores: Stores) -> None:
        await stores.tokens.revoke(token_id)

    with_stores(work)
    out.print("Revoked.")
