"""``imperal-host keys``: the ring of key-encryption keys (KEKs), and from one to the next."""

from typing import Annotated

import typer
from rich.progress import Progress
from rich.table import Table

from imperal_host.app import Stores, make_rotation
from imperal_host.cli.options import AsJson
from imperal_host.cli.run import err, out, plain, with_stores
from imperal_host.vault.keyring import Held

app = typer.Typer(
    no_args_is_help=True, help="Keys that open the vault. To rotate: add, promote, rewrap, retire; nothing stops."
)
KekId = Annotated[str, typer.Argument(help="Its id, or enough of the beginning; see 'keys status'.")]
_NEXT = {
    "new": "imperal-host keys promote {}",
    "promoted": "imperal-host keys rewrap",
    "old": "imperal-host keys retire {}",
}


@app.command()
def add(
    location: Annotated[
        str, typer.Argument(help="file:/absolute/path, env:NAME, keyring:SERVICE/NAME or vault-transit:MOUNT/KEY.")
    ],
) -> None:
    """Make a key there, or take the one that is there. It only opens until it is promoted."""

    async def work(stores: Stores) -> Held:
        return await make_rotation(stores).add(location)

    _print(with_stores(work))


@app.command()
def promote(kek_id: KekId) -> None:
    """Seal with this key from now on. The one before goes on opening what it has sealed."""

    async def work(stores: Stores) -> Held:
        rotation = make_rotation(stores)
        return await rotation.promote((await rotation.find(kek_id)).kek_id)

    _print(with_stores(work))


@app.command()
def rewrap() -> None:
    """Seal again, with the promoted key, what others have sealed. May be interrupted, and run again."""

    async def work(stores: Stores) -> int:
        with Progress(console=err, transient=True) as progress:
            task = progress.add_task("tenant keys", total=None)
            return await make_rotation(stores).rewrap(
                lambda done, total: progress.update(task, completed=done, total=total)
            )

    out.print(f"{with_stores(work):,} tenant keys were sealed again.")


@app.command()
def retire(kek_id: KekId) -> None:
    """Never use a key again. Refused while anything is sealed with it."""

    async def work(stores: Stores) -> Held:
        rotation = make_rotation(stores)
        return await rotation.retire((await rotation.find(kek_id)).kek_id)

    _print(with_stores(work))


@app.command()
def status(as_json: AsJson = False) -> None:
    """List every key that was ever in the ring, and how many tenant keys each has sealed."""

    async def work(stores: Stores) -> list[Held]:
        return await make_rotation(stores).status()

    keys = with_stores(work)
    if as_json:
        out.print_json(
            data=[{"kek_id": k.kek_id, "state": k.state, "location": k.location, "uses": k.uses} for k in keys]
        )
        return
    table = Table(box=None, pad_edge=False)
    for column in ("key", "state", "tenant keys", "where"):
        table.add_column(column)
    for key in keys:
        table.add_row(*map(plain, (key.kek_id, key.state, f"{key.uses:,}", key.location or "IMPERAL_KEK_FILE")))
    out.print(table)


def _print(key: Held) -> None:
    out.print(f"{plain(key.kek_id)}: {key.state}, {key.uses:,} tenant keys.")
    if key.state in _NEXT:
        out.print(f"Next: {_NEXT[key.state].format(plain(key.kek_id))}")
