"""``imperal-host ledger``: what happened, and whether the record holds."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from imperal_host.api.me import entry_body
from imperal_host.cli.options import AsJson
from imperal_host.cli.run import fail, out, plain, with_ledger
from imperal_host.identity import CallId, TenantId
from imperal_host.ledger.ledger import Ledger
from imperal_host.ledger.store import Entry
from imperal_host.ledger.verify import Report

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
def verify(as_json: AsJson = False) -> None:
    """Recompute every chain. Exit status 1 if a row contradicts another."""

    async def work(ledger: Ledger) -> Report:
        return await ledger.verify()

    report = with_ledger(work)
    if as_json:
        findings = [{"tenant": f.tenant, "index": f.index, "problem": f.problem} for f in report.findings]
        out.print_json(data={**asdict(report), "holds": report.holds, "findings": findings})
    else:
        print_report(report)
    if not report.holds:
        raise typer.Exit(1)


def print_report(report: Report) -> None:
    for finding in report.findings:
        out.print(f"[red]{plain(finding.tenant)} row {finding.index}:[/] {plain(finding.problem)}")
    if report.findings:
        out.print(f"[red]The ledger does not hold:[/] {len(report.findings)} findings in {report.rows} rows.")
        return
    unfinished = f" {report.open_intents} actions have no outcome yet." if report.open_intents else ""
    out.print(f"[green]The ledger holds:[/] {report.rows} rows; chains, one a tenant: {report.tenants}.{unfinished}")
    out.print("Nothing is signed: a rebuilt file or a restored older one cannot be told from this.", style="dim")


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
