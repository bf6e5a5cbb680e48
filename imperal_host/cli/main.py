"""``imperal-host``: the commands."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import uvicorn
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

import imperal_host
from imperal_host import log
from imperal_host.api.calls import answer_body
from imperal_host.app import Host, open_host, open_stores
from imperal_host.app import inspect as load_once
from imperal_host.catalog.discovery import from_folder
from imperal_host.cli import extension as extension_commands
from imperal_host.cli import keys, ledger, llm, params, token, user
from imperal_host.cli import weights as weights_commands
from imperal_host.cli.demo import demo
from imperal_host.cli.options import AsJson, Extensions, Tenant, User
from imperal_host.cli.prove import prove
from imperal_host.cli.run import err, fail, out, plain, principal, run, settings, standard_input, with_host
from imperal_host.errors import ConfirmationRequiredError, NotFoundError, SetupError
from imperal_host.identity import Principal
from imperal_host.kernel.dispatch import Call, CallAnswer
from imperal_host.local.weights import present
from imperal_sdk.manifest import Manifest

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The self-hosted host for LLM extensions.",
    epilog="Settings are environment variables IMPERAL_*; README lists them.",
)
app.add_typer(extension_commands.app, name="extension")
app.add_typer(llm.app, name="llm")
app.add_typer(params.app, name="params")
app.add_typer(token.app, name="token")
app.add_typer(ledger.app, name="ledger")
app.add_typer(keys.app, name="keys")
app.add_typer(user.app, name="user")
app.add_typer(weights_commands.app, name="model")
app.command()(demo)
app.command()(prove)


_HEAD_BYTES_MAX = 64 << 10
_CONNECTIONS_MAX = 512


def _version(wanted: bool) -> None:
    if wanted:
        out.print(imperal_host.__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run with --help after any command."""


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)] = 8080,
    extensions: Extensions = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Load an extension folder again when a file in it changes.")
    ] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Where the data lies.", show_default=False)] = None,
) -> None:
    """Serve the HTTP API. The first run prints the admin's token, once."""
    chosen = settings(extensions_dir=extensions, data_dir=data_dir, reload=reload or None)

    async def work() -> None:
        log.configure(chosen.log_level, as_json=not err.is_terminal)
        await _check_free(host, port)
        async with open_stores(chosen) as stores, open_host(stores) as running:
            first = await stores.tokens.create_first_admin()
            if first is not None:
                err.print(f"The admin's token, shown this once: [bold]{first}[/]")
            _say_what_is_there(running)
            config = uvicorn.Config(
                running.asgi(),
                host=host,
                port=port,
                http="h11",  # the one of uvicorn's two parsers that bounds a request's head
                h11_max_incomplete_event_size=_HEAD_BYTES_MAX,
                limit_concurrency=_CONNECTIONS_MAX,
                log_level="critical",
                timeout_graceful_shutdown=10,
                lifespan="off",
            )
            watching = asyncio.create_task(running.loading.watch())
            try:
                await _Server(config).serve()
            finally:
                watching.cancel()
                await asyncio.wait({watching})

    run(work, level=chosen.log_level)


async def _check_free(host: str, port: int) -> None:
    """Raises ``SetupError``: said before anything is made or started, and in our words rather than uvicorn's."""
    try:
        probe = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port)
    except OSError as error:
        raise SetupError(
            f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}; choose another with --port or --host"
        ) from None
    probe.close()
    await probe.wait_closed()


class _Server(uvicorn.Server):
    """Says where it listens, once it does."""

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        err.print("stopping: waiting up to 10 s for running calls (Ctrl-C again to stop at once)")
        await super().shutdown()
        self._captured_signals.clear()  # a stop that was asked for is no failure: the exit status is 0

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup()
        for server in getattr(self, "servers", []):
            for socket in server.sockets:
                address, port, *_ = socket.getsockname()
                err.print(f"listening on http://{address}:{port} (stop with Ctrl-C)")


def _say_what_is_there(running: Host) -> None:
    names = ", ".join(manifest.app_id for manifest in running.rooms.catalog.all()) or "none"
    err.print(f"data in {plain(running.stores.settings.data_dir)}; extensions: {names}")
    for name, why in running.rooms.catalog.failures.items():
        err.print(f"[yellow]extension {plain(name)} is not loaded:[/] {plain(why)}")
    if not present(running.stores.settings.cache_dir):
        err.print("[yellow]the embedded model is not installed;[/] run: imperal-host model pull")


@app.command()
def call(
    extension: str,
    function: str,
    arguments: Annotated[str, typer.Argument(help="The arguments, a JSON object; '-' reads standard input.")] = "{}",
    confirmed: Annotated[bool, typer.Option("--confirmed", help="Agree to a destructive function.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show what the extension logs and prints, and where it fails.")
    ] = False,
    tenant: Tenant = "default",
    user: User = "local",
    extensions: Extensions = None,
) -> None:
    """Call a function of an extension; print its answer as JSON."""
    text = standard_input() if arguments == "-" else arguments
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        fail(f"the arguments are not JSON: {error}")
    if not isinstance(given, dict):
        fail('the arguments are a JSON object, like \'{"text": "..."}\'')
    who = principal(tenant, user)

    async def work(host: Host) -> None:
        try:
            answer = await _call(host, who, Call(extension, function, given, confirmed))
        except NotFoundError as error:
            fail(f"{error}" + ("" if extensions else "; a folder of extensions is named with --extensions"))
        except ConfirmationRequiredError:
            fail(f"{extension}.{function} is destructive; to run it, add --confirmed")
        out.print_json(data=answer_body(answer))
        if answer.result.status == "error":
            raise typer.Exit(1)

    with_host(work, settings(extensions_dir=extensions), level="info" if verbose else "warning")


async def _call(host: Host, who: Principal, asked: Call) -> CallAnswer:
    title = plain(f"{asked.extension}.{asked.function}")
    columns = (TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(title, total=100)
        return await host.rooms.kernel.dispatch(
            who,
            asked,
            progress=lambda percent, message: bar.update(task, completed=percent, description=plain(message) or title),
        )


@app.command(name="extensions")
def list_extensions(extensions: Extensions = None, as_json: AsJson = False) -> None:
    """List the extensions that can be called, and why others cannot."""

    async def work(host: Host) -> None:
        catalog = host.rooms.catalog
        if as_json:
            manifests = [manifest.model_dump(mode="json") for manifest in catalog.all()]
            out.print_json(data={"extensions": manifests, "failures": catalog.failures})
            return
        if not catalog.all() and not catalog.failures:
            out.print("No extensions. Install one (imperal-host extension add), or use --extensions DIR.")
        for manifest in catalog.all():
            _print_manifest(manifest)
        for name, why in catalog.failures.items():
            out.print(f"[red]{plain(name)}[/] is not loaded: {plain(why)}")

    with_host(work, settings(extensions_dir=extensions))


@app.command()
def inspect(folder: Path, as_json: AsJson = False) -> None:
    """Load an extension folder in a sandbox and print its manifest. Exit status 1 if it cannot be loaded."""
    chosen = settings()

    async def work() -> Manifest:
        return await load_once(chosen, from_folder(folder))

    manifest = run(work)
    if as_json:
        out.print_json(data=manifest.model_dump(mode="json"))
    else:
        _print_manifest(manifest)


def _print_manifest(manifest: Manifest) -> None:
    title = f"[bold]{manifest.app_id}[/] {manifest.version}  {plain(manifest.display_name)}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("function", "action", "arguments", "description"):
        table.add_column(column, overflow="fold")
    for function in manifest.functions:
        properties = function.parameters.get("properties")
        names = ", ".join(properties) if isinstance(properties, dict) else ""
        table.add_row(function.name, function.action_type, plain(names), plain(function.description))
    out.print(table)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    signal.signal(signal.SIGTERM, _interrupt)
    app()
