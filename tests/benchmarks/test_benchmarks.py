"""That the benchmarks run and count rightly. What they measure is asserted nowhere: machines are shared."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.benchmarks.measure import percentile
from tests.benchmarks.peers import bubblewrap
from tests.benchmarks.processes import NotPermittedError, descendants
from tests.benchmarks.report import Figures, Goal, Row, measured, ratio

ROOT = Path(__file__).parents[2]
RUN_SECONDS_MAX = 120


async def test_a_quick_run_prints_a_table_and_writes_the_figures(tmp_path: Path) -> None:
    before, file = descendants(), tmp_path / "figures.json"
    command = (sys.executable, "-m", "tests.benchmarks", "--quick", "--only", "echo", "--json", str(file))
    pipe = asyncio.subprocess.PIPE
    run = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=pipe, stderr=pipe)
    async with asyncio.timeout(RUN_SECONDS_MAX):
        out, err = await run.communicate()

    assert run.returncode == 0, err.decode()
    assert "p50 <= 80 us" in out.decode()
    rows = json.loads(file.read_text())["rows"]
    # bubblewrap may be installed and not allowed to work: its row says so
    failed = [f"{row['name']}: {row['note']}" for row in rows if row["failed"] and row["name"] != bubblewrap.PEER.name]
    assert failed == []
    measured_rows = {(row["what"], row["who"], row["name"]): row for row in rows if row["figures"]}
    for what in ("warm echo", "warm echo with one ctx round trip"):
        assert measured_rows[what, "imperal", "isolate"]["figures"]["p50_us"] > 0
    child = measured_rows["warm echo", "peer", "fresh Python child, unconfined"]
    assert child["times_ours"] > 0
    assert descendants() - before == set()


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1.0), (0.25, 1.0), (0.5, 2.0), (0.51, 3.0), (0.99, 4.0), (1.0, 4.0)]
)
def test_a_percentile_is_the_nearest_rank(share: float, value: float) -> None:
    assert percentile([4.0, 2.0, 3.0, 1.0], share) == value


@pytest.mark.parametrize(
    ("goal", "figures", "reached"),
    [
        (Goal("p50_us", "<=", 80), {"p50_us": 80.0}, True),
        (Goal("p50_us", "<=", 80), {"p50_us": 80.1}, False),
        (Goal("calls_per_second", ">=", 25_000), {"calls_per_second": 24_999.0}, False),
        (Goal("p50_us", "<=", 80), {}, False),
    ],
)
def test_a_goal_is_reached_or_missed(goal: Goal, figures: Figures, reached: bool) -> None:
    assert Row("echo", "imperal", "isolate", figures, (goal,)).reached is reached


def test_a_row_is_compared_with_ours_of_the_same_kind() -> None:
    rows = [
        Row("echo", "imperal", "isolate", {"p50_us": 50.0}),
        Row("echo", "peer", "slow", {"p50_us": 500.0}),
        Row("start", "peer", "slow", {"p50_ms": 500.0}),
    ]
    assert [ratio(row, rows) for row in rows] == [None, 10.0, None]


async def test_a_row_that_cannot_be_measured_says_why_and_reaches_no_goal() -> None:
    async def forbidden() -> Figures:
        raise NotPermittedError("no root")

    async def broken() -> Figures:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.wait_for(asyncio.to_thread(os.stat, "/nowhere/at/all"), 5))
        return {}

    goal = Goal("p50_us", "<=", 1)
    row = await measured("claim", "imperal", "isolate", forbidden, goal)
    assert (row.note, row.failed, row.reached) == ("not permitted: no root", False, False)
    row = await measured("claim", "imperal", "isolate", broken, goal)
    assert row.note.startswith("failed: FileNotFoundError: ")
    assert (row.failed, row.reached) == (True, False)
