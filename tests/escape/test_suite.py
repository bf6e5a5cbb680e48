"""Every attempt of ``imperal-host prove`` is a test, tried for real in a real isolate."""

import pytest

from imperal_host.prove.row import Row
from imperal_host.prove.suite import SUITE
from imperal_host.prove.trial import Trial


@pytest.mark.parametrize("row", SUITE, ids=lambda row: row.name)
async def test_attempt(trial: Trial, row: Row) -> None:
    verdict = await trial.attempt(row)
    assert verdict.passes, f"{row.tries} {verdict.outcome}: {verdict.detail}"


async def test_the_table_and_the_hostile_code_know_the_same_attempts(trial: Trial) -> None:
    assert await trial.names() == {row.name for row in SUITE if row.extension == "acts"}
