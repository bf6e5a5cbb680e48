"""``imperal-host user``: what concerns one user as a whole."""

from typing import Annotated

import typer

from imperal_host.app import Stores, record_key_op
from imperal_host.cli.run import fail, out, plain, principal, with_stores
from imperal_host.gateway.binding import owner_of

app = typer.Typer(no_args_is_help=True, help="Users: erase one.")


@app.command()
def erase(
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="The user's tenant.")],
    user: Annotated[str, typer.Option("--user", "-u", help="The user.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Destroy a user's key, own model and its key, and revoke their tokens. It cannot be undone.

    Interrupted, it may be run again. Backups of the database are not reached; see README, "Keys".
    """
    who = principal(tenant, user)
    if not yes:
        typer.confirm(f"Erase {who.user} of {who.tenant}, for good?", abort=True)

    async def work(stores: Stores) -> tuple[int, bool]:
        await record_key_op(stores, "user.erase", {"tenant": who.tenant, "user": who.user})
        revoked = await stores.tokens.erase(who.tenant, who.user)
        await stores.bindings.delete(owner_of(who))
        await stores.personal.shred(who.tenant, who.user)
        return revoked, await stores.database.truncate_log()

    revoked, is_gone = with_stores(work)
    if not is_gone:
        fail("erased, but another process was reading: its log still holds what was there; run this again")
    out.print(f"{plain(who.user)} of {plain(who.tenant)} is erased; {revoked} tokens were revoked.")
