"""``imperal-host extension``: extensions with what they require, each in a directory of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path, PurePath
from typing import Annotated

import typer
from rich.table import Table

from imperal_host.app import inspect
from imperal_host.catalog.discovery import EXTENSION_GROUP
from imperal_host.catalog.install import Prepared, Source, prepare, source_of
from imperal_host.catalog.installed import Installed, Record
from imperal_host.cli.options import AsJson
from imperal_host.cli.run import err, out, plain, run, said_in_one_line, settings
from imperal_host.errors import ExtensionLoadError, HostError, InvalidError, NotFoundError
from imperal_host.settings import Settings
from imperal_sdk.manifest import Manifest

app = typer.Typer(no_args_is_help=True, help="Install extensions, each with the libraries it needs.")
Name = Annotated[str, typer.Argument(help="The extension's id.")]
_BUILDS = "Let pip build what has no wheel. Build scripts run on this machine, outside the sandbox, as you."


@app.command()
def add(
    what: Annotated[str, typer.Argument(help="A wheel, a folder with a main.py, or a requirement like 'name>=1.2'.")],
    allow_build: Annotated[bool, typer.Option("--allow-build", help=_BUILDS)] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of an installed one of that id.")] = False,
) -> None:
    """Install an extension and what it requires. Running hosts load it within a second or two."""
    chosen = settings()
    installed = Installed(chosen.installed_dir)
    if allow_build:
        err.print("[yellow]--allow-build:[/] build scripts may run now, outside the sandbox")
    with said_in_one_line():
        source = source_of(what, allow_build=allow_build)
        if source.kind == "requirement" and Path(what).is_dir():
            err.print(f"{plain(what)} is asked for by its name; the folder of that name here is ./{plain(what)}")
        with _prepared(source, chosen, installed) as (prepared, manifest):
            now = _record_of(installed, manifest.app_id)
            if now is not None and not replace:
                raise InvalidError(
                    f"extension {now.id!r} {now.version} is installed already, from {now.source}; "
                    f"to put this in its place: --replace; to look for a newer one: imperal-host extension update"
                )
            if manifest.app_id in entry_points(group=EXTENSION_GROUP).names:
                raise InvalidError(f"another extension has the id {manifest.app_id!r} already, beside the host")
            record = _put(installed, prepared, manifest, now)
    functions = ", ".join(function.name for function in manifest.functions) or "none"
    out.print(f"{record.id} {record.version} is installed. Its functions: {functions}")


@app.command(name="list")
def list_(as_json: AsJson = False) -> None:
    """List what is installed, also what is disabled or damaged."""
    installed = Installed(settings().installed_dir)
    with said_in_one_line():
        found, damaged = _all(installed)
    if as_json:
        shown = [record.model_dump(mode="json") for record in found]
        out.print_json(data={"installed": shown, "damaged": damaged})
        return
    if not found and not damaged:
        out.print("No extensions are installed. To install one: imperal-host extension add WHEEL, FOLDER or NAME")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("extension", "version", "state", "installed", "from"):
        table.add_column(column, overflow="fold")
    for record in found:
        state = "enabled" if record.enabled else "disabled"
        when = f"{record.installed_at:%Y-%m-%d %H:%M} UTC"
        table.add_row(record.id, record.version, state, when, plain(f"{record.kind} {record.source}"))
    for name, why in damaged.items():
        table.add_row(name, "", "damaged", "", plain(why))
    out.print(table)


@app.command()
def remove(name: Name) -> None:
    """Remove an extension. Calls that run on it finish; its files go when nobody uses them."""
    with said_in_one_line():
        Installed(settings().installed_dir).remove(name)
    out.print(f"{plain(name)} is removed.")


@app.command()
def disable(name: Name) -> None:
    """Keep an extension installed, but do not load it."""
    _set(name, enabled=False)


@app.command()
def enable(name: Name) -> None:
    """Load a disabled extension again."""
    _set(name, enabled=True)


@app.command()
def update(name: Annotated[str, typer.Argument(help="The extension's id, or 'all'.")] = "all") -> None:
    """Ask again for what was added: a newer version that suits the requirement, or the folder as it is now."""
    chosen = settings()
    installed = Installed(chosen.installed_dir)
    with said_in_one_line():
        names = installed.names() if name == "all" else [installed.record(name).id]
    if not names:
        out.print("No extensions are installed.")
    failed = False
    for each in names:
        try:
            with said_in_one_line():
                out.print(_update(each, chosen, installed))
        except typer.Exit as ending:
            if ending.exit_code != 1:
                raise
            failed = True  # said already; the others are updated all the same
    if failed:
        raise typer.Exit(1)


def _update(name: str, chosen: Settings, installed: Installed) -> str:
    now = installed.record(name)
    source = Source(now.kind, now.source, now.allow_build)
    with _prepared(source, chosen, installed) as (prepared, manifest):
        if manifest.app_id != now.id:
            raise ExtensionLoadError(f"what {now.source} is now has another id: {manifest.app_id!r}")
        if _directory(prepared, manifest) == now.directory:
            return f"{now.id} {now.version} is up to date."
        record = _put(installed, prepared, manifest, now)
    if record.version == now.version:
        return f"{record.id} {record.version} is renewed: its files, or those of what it requires, had changed."
    return f"{record.id} {now.version} is now {record.version}."


@contextmanager
def _prepared(source: Source, chosen: Settings, installed: Installed) -> Iterator[tuple[Prepared, Manifest]]:
    """Fetched, and loaded once in a sandbox; thrown away at the end unless it was put in its place."""
    with installed.making() as place:
        with _status("fetching it, and what it requires"):
            prepared = prepare(source, place, chosen.extension_bytes_max)
        with _status("loading it in a sandbox"):
            manifest = _inspected(prepared, chosen)
        yield prepared, manifest


def _inspected(prepared: Prepared, chosen: Settings) -> Manifest:
    package = prepared.package(prepared.app_id or PurePath(prepared.source.value).name)

    async def work() -> Manifest:
        return await inspect(chosen, package)

    manifest = run(work)
    if prepared.app_id and manifest.app_id != prepared.app_id:
        raise ExtensionLoadError(f"its entry point is named {prepared.app_id!r}, its id is {manifest.app_id!r}")
    return manifest


def _put(installed: Installed, prepared: Prepared, manifest: Manifest, now: Record | None) -> Record:
    record = Record(
        id=manifest.app_id,
        version=manifest.version,
        directory=_directory(prepared, manifest),
        module=prepared.module,
        attribute=prepared.attribute,
        kind=prepared.source.kind,
        source=prepared.source.value,
        allow_build=prepared.source.allow_build,
        enabled=now.enabled if now else True,
        installed_at=datetime.now(UTC),
    )
    installed.put(prepared.files, record, instead_of=now)
    return record


def _directory(prepared: Prepared, manifest: Manifest) -> str:
    return f"{manifest.version}-{prepared.content}"


def _record_of(installed: Installed, app_id: str) -> Record | None:
    try:
        return installed.record(app_id)
    except NotFoundError:
        return None


def _all(installed: Installed) -> tuple[list[Record], dict[str, str]]:
    found, damaged = [], {}
    for name in installed.names():
        try:
            found.append(installed.record(name))
        except NotFoundError:  # removed since
            continue
        except HostError as error:
            damaged[name] = str(error)
    return found, damaged


def _set(name: str, *, enabled: bool) -> None:
    state = "enabled" if enabled else "disabled"
    with said_in_one_line():
        changed = Installed(settings().installed_dir).set_enabled(name, enabled)
    out.print(f"{plain(name)} is {state}." if changed else f"{plain(name)} is {state} already.")


@contextmanager
def _status(text: str) -> Iterator[None]:
    if not err.is_terminal:
        yield
        return
    with err.status(text):
        yield
