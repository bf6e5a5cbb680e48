"""``imperal-host ledger``: what happened, and whether the record holds."""

import contextlib
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from imperal_host.api.me import entry_body
from imperal_host.app import Stores
from imperal_host.cli.options import AsJson
from imperal_host.cli.run import fail, out, plain, with_ledger, with_stores
from imperal_host.errors import NotFoundError
from imperal_host.identity import CallId, TenantId
from imperal_host.ledger.ledger import Ledger
from imperal_host.ledger.store import Entry
from imperal_host.verify.note import NotProvenError, VerifierKey
from imperal_host.verify.receipt import Bundle
from imperal_host.verify.rows import Report

app = typer.Typer(no_args_is_help=True, help="The append-only record of every call.")


@app.command()
def show(
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Only this tenant.")] = None,
    limit: Annotated[int, typer.Option(help="How many of the newest rows.", min=1, max=100_000)] = 50,
    call: Annotated[str | None, typer.Option("--call", help="Only this call and its model attempts.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the newest rows, oldest first."""

    async def work(ledger: Ledger) -> list[Entry]:
        if call is not None:
            return await ledger.of_call(CallId(call))
        return await ledger.latest(limit, TenantId(tenant) if tenant else None)

    entries = with_ledger(work)
    try:
        shown = [entry_body(entry) for entry in entries] if as_json else entries_table(entries)
    except (ValueError, TypeError, LookupError):
        fail("a row is not as it was written; to find it: imperal-host ledger verify")
    if isinstance(shown, list):
        out.print_json(data=shown)
    else:
        out.print(
            shown if entries else "No rows." if call or tenant else "The ledger is empty: no call has been made yet."
        )


@app.command()
def verify(
    as_json: AsJson = False,
    key: Annotated[str | None, typer.Option("--key", help="The public key, where its file is not at hand.")] = None,
) -> None:
    """Recompute every tree, and check what was signed. Exit status 1 if anything contradicts."""
    try:
        public = VerifierKey.parse(key) if key is not None else None
    except NotProvenError as error:
        fail(str(error))

    async def work(ledger: Ledger) -> Report:
        return await ledger.verify(key=public)

    report = with_ledger(work)
    if as_json:
        findings = [{"tenant": f.tenant, "index": f.index, "problem": f.problem} for f in report.findings]
        out.print_json(data={**asdict(report), "holds": report.holds, "findings": findings})
    else:
        print_report(report)
    if not report.holds:
        raise typer.Exit(1)


@app.command("key")
def public_key() -> None:
    """Print the public key that everything in the ledger is signed with."""

    async def work(stores: Stores) -> str:
        return str(stores.ledger.key)

    out.print(plain(with_stores(work)))


@app.command()
def receipt(
    call: Annotated[str, typer.Argument(help="The call's id, or a model attempt's.")],
    kind: Annotated[str | None, typer.Option("--kind", help="Which of its rows; the last one if not given.")] = None,
) -> None:
    """Print the proof that a row stands in the signed ledger, for imperal-verify."""

    async def work(ledger: Ledger) -> Bundle:
        rows = [row for row in await ledger.of_call(CallId(call)) if row.call_id == call and kind in (None, row.kind)]
        if not rows:
            raise NotFoundError(f"there is no row of the call {call!r}" + (f" of the kind {kind}" if kind else ""))
        return await ledger.receipt(TenantId(rows[-1].tenant), rows[-1].index)

    typer.echo(with_ledger(work).to_json())


@app.command()
def checkpoint() -> None:
    """Print the newest signed checkpoint. Keep it elsewhere: it shows later that nothing was put back."""

    async def work(ledger: Ledger) -> str:
        note = await ledger.checkpoint()
        if note is None:
            raise NotFoundError("the ledger has no row yet, and no checkpoint")
        return note

    typer.echo(with_ledger(work), nl=False)


@app.command()
def export(file: Annotated[Path, typer.Argument(help="Where to; '-' is standard output.")]) -> None:
    """Write all rows and their proof, a line each, for imperal-verify."""
    try:
        with contextlib.nullcontext(sys.stdout.buffer) if str(file) == "-" else file.open("wb") as stream:
            with_ledger(lambda ledger: ledger.export(stream.write))
    except OSError as error:
        fail(f"{file}: {error.strerror}")


@app.command()
def correct(
    call: Annotated[str, typer.Argument(help="The id of an unresolved action.")],
    nano_usd: Annotated[int, typer.Option("--nano-usd", help="What it has really cost.", min=0)],
    reason: Annotated[str, typer.Option("--reason", help="How that is known.")],
) -> None:
    """Correct what an action that a crash cut off is charged with: the most it could cost, until this is done."""

    async def work(stores: Stores) -> str:
        return str(await stores.ledger.correct(CallId(call), nano_usd, reason))

    out.print(plain(with_stores(work)))


def print_report(report: Report) -> None:
    for finding in report.findings:
        out.print(f"[red]{plain(finding.tenant)} row {finding.index}:[/] {plain(finding.problem)}")
    if report.findings:
        out.print(f"[red]The ledger does not hold:[/] {len(report.findings)} findings in {report.rows} rows.")
        return
    unfinished = f" {report.open_intents} actions have no outcome yet." if report.open_intents else ""
    out.print(f"[green]The ledger holds:[/] {report.rows} rows; trees, one a tenant: {report.tenants}.{unfinished}")
    out.print(
        f"Signed up to head {report.checkpoint_size}; "
        + (
            "no older than what the witness knows."
            if report.is_witnessed
            else "an older state put back whole cannot be told from this without a witness (IMPERAL_WITNESS_FILE)."
        ),
        style="dim",
    )


def entries_table(entries: list[Entry]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("row", "time", "tenant/user", "kind", "what", "outcome", "tokens", "nano-USD"):
        table.add_column(column, justify="right" if column in ("row", "tokens", "nano-USD") else "left")
    for entry in entries:
        content, details = entry.content, entry.content["details"]
        what = f"{content['extension']}.{content['function']}"
        if content["action"] == "llm":
            what = f"{details['provider']} {details['model']}" + (" (own)" if details["is_byollm"] else "")
        tokens = f"{details['input_tokens']}+{details['output_tokens']}" if "input_tokens" in details else ""
        cost = str(entry.cost_nano_usd) if content["action"] == "llm" and entry.kind == "outcome" else ""
        when = datetime.fromtimestamp(entry.at_milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        who = f"{entry.tenant}/{entry.user}"
        row = (
            str(entry.index),
            when,
            who,
            f"{content['action']} {entry.kind}",
            what,
            details.get("outcome", ""),
            tokens,
            cost,
        )
        table.add_row(*map(plain, row))
    return table
