"""``imperal-host params``: the admin's parameter layers, and which of them wins."""

import asyncio
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.table import Table

from imperal_host.api.admin import explanation_body, layer_body
from imperal_host.app import Stores, make_planner
from imperal_host.cli.options import AsJson, Extension, Purpose, Tenant, User
from imperal_host.cli.run import fail, out, plain, principal, with_stores
from imperal_host.errors import HostError
from imperal_host.gateway.parameters import LayerKey
from imperal_host.gateway.planning import Explanation
from imperal_host.local.supervisor import LocalModelServer
from imperal_host.local.weights import present, weights_file
from imperal_sdk.llm import Origin, Parameters

app = typer.Typer(no_args_is_help=True, help="Model parameters by platform, purpose and extension.")


@app.command(name="set")
def set_(
    extension: Extension = "",
    purpose: Purpose = "",
    temperature: Annotated[float | None, typer.Option(help="0 to 2.")] = None,
    top_p: Annotated[float | None, typer.Option(help="0 to 1.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Output tokens at most.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="A stop sequence; may be repeated.")] = None,
    presence_penalty: Annotated[float | None, typer.Option(help="-2 to 2.")] = None,
    frequency_penalty: Annotated[float | None, typer.Option(help="-2 to 2.")] = None,
    seed: Annotated[int | None, typer.Option(help="For repeatable sampling, where the model has it.")] = None,
) -> None:
    """Set parameters of a layer; those not named stay. Without --extension and --purpose: the platform."""
    said = {
        "temperature": temperature,
        "top_p": top_p,
        "max_tokens": max_tokens,
        "stop_sequences": stop or None,
        "presence_penalty": presence_penalty,
        "frequency_penalty": frequency_penalty,
        "seed": seed,
    }
    try:
        new = Parameters.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        fail(f"--{str(first['loc'][0]).replace('_', '-')}: {first['msg']}")
    if not new.said():
        fail("name at least one parameter, for example --temperature 0.4")
    key = layer_key(extension, purpose)

    async def work(stores: Stores) -> Parameters:
        return await stores.layers.merge(key, new)

    out.print(f"{plain(key)}: {_values(with_stores(work))}")


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show every layer that is set."""

    async def work(stores: Stores) -> list[tuple[LayerKey, Parameters]]:
        return await stores.layers.all()

    layers = with_stores(work)
    if as_json:
        out.print_json(data=[layer_body(key, parameters) for key, parameters in layers])
        return
    if not layers:
        out.print("Nothing is set: every model's own defaults hold. To set: imperal-host params set --help")
    for key, parameters in layers:
        out.print(f"{plain(key)}: {_values(parameters)}")


@app.command()
def delete(extension: Extension = "", purpose: Purpose = "") -> None:
    """Remove a layer."""
    key = layer_key(extension, purpose)

    async def work(stores: Stores) -> bool:
        return await stores.layers.delete(key)

    if not with_stores(work):
        fail(f"nothing is set for {key}")
    out.print("Removed.")


@app.command()
def explain(
    extension: Extension = "",
    purpose: Purpose = "",
    tenant: Tenant = "default",
    user: User = "local",
    as_json: AsJson = False,
) -> None:
    """Say what would be sent, to which model, and which layer says so. Sends nothing."""
    who = principal(tenant, user)

    async def work(stores: Stores) -> Explanation:
        cache = stores.settings.cache_dir
        local = LocalModelServer(weights_file(cache)) if await asyncio.to_thread(present, cache) else None
        return await make_planner(stores, local).explain(who, extension, purpose)

    found = with_stores(work)
    if as_json:
        out.print_json(data=explanation_body(found))
        return
    out.print(f"{found.target.vendor.name} {plain(found.target.model)} (chosen by {plain(found.target.chosen_by)})")
    print_provenance(found.resolved.provenance)


def layer_key(extension: str, purpose: str) -> LayerKey:
    try:
        return LayerKey(extension, purpose)
    except HostError as error:
        fail(str(error))


def print_provenance(provenance: dict[str, Origin]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("parameter", "value", "set by", ""):
        table.add_column(column)
    for name, origin in provenance.items():
        dropped = f"not sent: {origin.dropped}" if origin.dropped else ""
        table.add_row(*map(plain, (name, origin.value, origin.layer, dropped)))
    out.print(table if table.row_count else "No layer sets a parameter: the model's own defaults hold.")


def _values(parameters: Parameters) -> str:
    return plain(", ".join(f"{name} {value}" for name, value in parameters.said().items()))
