"""``imperal-host prove``: everything a hostile extension can try, tried here, and what stopped it."""

import itertools
import json
import os
import platform
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

import imperal_host
from imperal_host.app import open_host, open_stores
from imperal_host.cli.options import AsJson
from imperal_host.cli.run import err, fail, out, plain, run, settings
from imperal_host.prove.row import TIERS, Outcome, Row, Tier, Verdict
from imperal_host.prove.stage import Stage, staged
from imperal_host.prove.suite import SUITE
from imperal_host.prove.trial import Trial
from imperal_host.settings import Settings

_COULD_NOT_RUN = 2
_DETAIL_CHARACTERS_MAX = 100
_COLOURS: dict[Outcome, str] = {
    "stopped": "green",
    "holds": "green",
    "WORKED": "bold red",
    "inconclusive": "red",
    "not promised": "yellow",
}
Results = list[tuple[Row, Verdict]]


def prove(
    tier: Annotated[
        str, typer.Option(help="The sandbox to try: strict or no-namespaces; else the one that is set.")
    ] = "",
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", help="Only attempts of this kind; may be given more than once.")
    ] = None,
    as_json: AsJson = False,
    report: Annotated[
        Path | None,
        typer.Option(help="Write the whole report to this file, as JSON.", show_default=False, dir_okay=False),
    ] = None,
) -> None:
    """Attack this host with a hostile extension, for real, and show what stopped each attempt.

    Uses keys, data and tenants of its own, and leaves nothing behind. Exit status 0: all of it was stopped;
    1: something worked or is inconclusive; 2: the suite could not run.
    """
    rows = [row for row in SUITE if not kinds or row.kind in kinds]
    try:
        _check_kinds(kinds or [])
        results, used = _attack(tier or None, rows)
    except typer.Exit as error:
        raise typer.Exit(_COULD_NOT_RUN if error.exit_code == 1 else error.exit_code) from None
    findings = _report(results, used)
    if report is not None:
        report.write_text(json.dumps(findings, indent=2) + "\n", encoding="utf-8")
    if as_json:
        out.print_json(data=findings)
    else:
        _print(results, used)
    if not all(verdict.passes for _, verdict in results):
        raise typer.Exit(1)


def _check_kinds(wanted: list[str]) -> None:
    known = list(dict.fromkeys(row.kind for row in SUITE))
    for kind in wanted:
        if kind not in known:
            fail(f"there are no attempts of the kind {kind!r}; there are: {', '.join(known)}")


def _attack(wanted: str | None, rows: list[Row]) -> tuple[Results, Tier]:
    with tempfile.TemporaryDirectory(prefix="imperal-prove-") as place:

        async def work() -> tuple[Results, Tier]:
            async with staged(Path(place)) as stage:
                chosen = settings(**stage.settings, sandbox=wanted)
                tier = _tier(chosen.sandbox)
                return await _attempts(stage, chosen, tier, rows), tier

        # What the hostile print and provoke is no news for the operator: the table says what matters.
        return run(work, level="critical")


def _tier(sandbox: str) -> Tier:
    if sandbox not in TIERS:
        fail(f"the suite says what to expect of {' and '.join(TIERS)} only, and IMPERAL_SANDBOX is {sandbox!r}")
    return next(tier for tier in TIERS if tier == sandbox)


async def _attempts(stage: Stage, chosen: Settings, tier: Tier, rows: list[Row]) -> Results:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    results: Results = []
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("loading the hostile extensions", total=len(rows))
        async with open_stores(chosen) as stores, open_host(stores) as host:
            trial = Trial(host, stage, tier)
            await trial.prepare()
            for row in rows:
                bar.update(task, description=plain(f"{row.kind}: {row.name}")[:60].ljust(60))
                results.append((row, await trial.attempt(row)))
                bar.advance(task)
    return results


def _report(results: Results, tier: Tier) -> dict[str, object]:
    return {
        "version": imperal_host.__version__,
        "tier": tier,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "as_root": os.geteuid() == 0,
        "passes": all(verdict.passes for _, verdict in results),
        "counts": _counts(results),
        "attempts": [
            {
                "name": row.name,
                "kind": row.kind,
                "tries": row.tries,
                "outcome": verdict.outcome,
                "layer": verdict.layer,
                "detail": verdict.detail,
            }
            for row, verdict in results
        ],
    }


def _counts(results: Results) -> dict[Outcome, int]:
    counted = Counter(verdict.outcome for _, verdict in results)
    return {outcome: counted[outcome] for outcome in _COLOURS}


def _print(results: Results, tier: Tier) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("attempt", overflow="fold")
    table.add_column("stopped by", no_wrap=True)
    table.add_column("what was seen", overflow="fold")
    for kind, group in itertools.groupby(sorted(results, key=lambda one: one[0].kind), key=lambda one: one[0].kind):
        table.add_row()
        table.add_row(f"[bold]{kind}[/]")
        for row, verdict in group:
            said = f"[{_COLOURS[verdict.outcome]}]{verdict.layer or verdict.outcome}[/]"
            table.add_row(f"  {plain(row.name)}", said, plain(verdict.detail)[:_DETAIL_CHARACTERS_MAX])
    out.print(table)
    for row, verdict in results:
        if not verdict.passes:
            out.print(f"[bold red]{verdict.outcome}[/] {plain(row.name)}: {plain(row.tries)} {plain(verdict.detail)}")
    counts = _counts(results)
    tail = f", {counts['not promised']} not promised in this tier" if counts["not promised"] else ""
    stopped = f"{counts['stopped']} stopped, {counts['WORKED']} worked, {counts['inconclusive']} inconclusive"
    controls = f"{counts['holds']} controls hold{tail}"
    out.print(f"\n{tier}, Linux {platform.release()}: {len(results)} attempts. {stopped}; {controls}.")
