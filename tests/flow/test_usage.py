"""A user's usage and statement, made again from the rows that the same user may read."""

from datetime import UTC, datetime

import pytest

from tests.flow.conftest import World
from tests.flow.test_one_call import bring, summarize


async def test_the_statement_can_be_made_again_from_the_rows(world: World) -> None:
    await world.ada.delete("/v1/me/llm")
    for text in ("The cat sat.", "The dog ran."):
        assert (await summarize(world.ada, text)).status_code == 200
    await bring(world, world.ada)
    assert (await summarize(world.ada)).status_code == 200
    await world.ada.delete("/v1/me/llm")

    rows, before = [], None
    while True:
        page = (
            await world.ada.get("/v1/me/ledger", params={"limit": 50} | ({"before": before} if before else {}))
        ).json()
        rows += page["entries"]
        before = page["next_before"]
        if before is None:
            break
    attempts = [row for row in rows if row["action"] == "llm" and row["kind"] == "outcome"]
    today = datetime.now(UTC)
    for path in ("/v1/me/usage", f"/v1/me/statement?month={today:%Y-%m}"):
        told = (await world.ada.get(path)).json()
        assert told["total"]["cost_nano_usd"] == sum(row["cost_nano_usd"] for row in attempts) > 0
        assert told["total"]["attempts"] == len(attempts)
        assert told["total"]["input_tokens"] == sum(row["details"].get("input_tokens", 0) for row in attempts)
    by_day = (await world.ada.get("/v1/me/usage", params={"by": "day"})).json()["lines"]
    assert sum(line["attempts"] for line in by_day.values()) == len(attempts)
    own = sum(row["details"]["is_byollm"] for row in attempts)
    assert told["total"]["own_key_attempts"] == own > 0
    assert (await world.eve.get("/v1/me/usage")).json()["total"]["attempts"] != len(attempts), "another's"


@pytest.mark.parametrize(
    ("query", "field"),
    [("from=yesterday", "from"), ("to=2026-13-01", "to"), ("by=colour", "by"), ("from=9999-12-31", "from")],
)
async def test_a_wrong_question_names_what_is_wrong(world: World, query: str, field: str) -> None:
    answer = await world.ada.get(f"/v1/me/usage?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert (await world.ada.get("/v1/me/statement?month=soon")).status_code == 422
