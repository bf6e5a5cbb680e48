"""Rows, and how they are shown: a table for people, JSON for what compares runs."""

import json
import operator
import os
import platform
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from tests.benchmarks.peers import NotInstalledError
from tests.benchmarks.processes import NotPermittedError

Who = Literal["imperal", "peer", "raw"]
Figures = dict[str, float]
_COMPARE = {"<=": operator.le, ">=": operator.ge}
_UNITS = {"us": "us", "ms": "ms", "mb": "MiB"}


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on one figure of a row, in that figure's unit."""

    figure: str
    bound: Literal["<=", ">="]
    value: float

    def reached(self, figures: Figures) -> bool:
        return self.figure in figures and _COMPARE[self.bound](figures[self.figure], self.value)

    def __str__(self) -> str:
        return f"{_label(self.figure)} {self.bound} {_number(self.figure, self.value)}"


@dataclass(slots=True)
class Row:
    """Rows with the same ``what`` are compared by the first figure of each."""

    what: str
    who: Who
    name: str
    figures: Figures = field(default_factory=dict)
    goals: Sequence[Goal] = ()
    note: str = ""
    failed: bool = False

    @property
    def reached(self) -> bool | None:
        return all(goal.reached(self.figures) for goal in self.goals) if self.goals else None


async def measured(
    what: str, who: Who, name: str, work: Callable[[], Awaitable[Figures]], *goals: Goal, note: str = ""
) -> Row:
    """The row of ``work``. What goes wrong is the row's note: the other rows are still worth having."""
    row = Row(what, who, name, goals=goals, note=note)
    try:
        row.figures = await work()
    except NotInstalledError as error:
        row.note = f"not installed: {error}"
    except NotPermittedError as error:
        row.note = f"not permitted: {error}"
    except Exception as error:
        row.note, row.failed = f"failed: {_first(error)}", True
    return row


def ratio(row: Row, rows: Sequence[Row]) -> float | None:
    """How many times ours this row's first figure is, where ours was measured in the same unit."""
    ours = next((other for other in rows if other.what == row.what and other.who == "imperal"), None)
    if ours is None or ours is row or not ours.figures or not row.figures:
        return None
    first = next(iter(row.figures))
    return row.figures[first] / ours.figures[first] if ours.figures.get(first) else None


def table(rows: Sequence[Row]) -> Table:
    shown = Table(title="Imperal Host: the sandbox, its peers, and the raw limits of this machine", caption=_machine())
    for column in ("what", "who", "measured", "x ours", "goal", "", "note"):
        shown.add_column(column, overflow="fold")
    last = ""
    for row in rows:
        if row.what != last:
            shown.add_section()
        of_ours = ratio(row, rows)
        shown.add_row(
            row.what if row.what != last else "",
            row.name,
            ", ".join(f"{_label(name)} {_number(name, value)}".strip() for name, value in row.figures.items()) or "-",
            f"{of_ours:.3g}" if of_ours is not None else "",
            ", ".join(map(str, row.goals)),
            _verdict(row),
            row.note,
        )
        last = row.what
    return shown


def _verdict(row: Row) -> str:
    if not row.goals:
        return ""
    if not row.figures:
        return "[yellow]not measured[/]"
    return "[green]reached[/]" if row.reached else "[red]missed[/]"


def show(rows: Sequence[Row]) -> None:
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(table(rows))


def write(rows: Sequence[Row], seconds: float, file: Path) -> None:
    """Figures under their names, whose end is the unit; times of the whole run in seconds."""
    machine = {"cpus": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
    listed = [{**asdict(row), "reached": row.reached, "times_ours": ratio(row, rows)} for row in rows]
    content = {"machine": machine, "load_1_minute": os.getloadavg()[0], "seconds": round(seconds, 1), "rows": listed}
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _machine() -> str:
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    load = f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
    return f"{system}, {load}; a row without a goal is a peer or a raw limit"


def _label(figure: str) -> str:
    name, _, unit = figure.rpartition("_")
    return name.replace("_", " ") if unit in _UNITS else "" if figure.endswith("_per_second") else figure


def _number(figure: str, value: float) -> str:
    if figure.endswith("_per_second"):
        return f"{value:,.0f} {figure.removesuffix('_per_second')}/s"
    shown = f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
    return f"{shown} {_UNITS.get(figure.rpartition('_')[2], '')}".strip()


def _first(error: BaseException) -> str:
    """What really went wrong: the first of a group, in one line."""
    return next(_leaves(error))


def _leaves(error: BaseException) -> Iterator[str]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield " ".join(f"{type(error).__name__}: {error}".split())[:200]
