"""A statement is the sum of its rows, whichever way they are cut."""

from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st

from imperal_host.billing.statement import By, day_of, statement

OUTCOMES = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["intent", "outcome", "unresolved", "correction"]),
        "action": st.sampled_from(["llm", "call", "keys.add"]),
        "at_milliseconds": st.integers(0, 2 * 10**12),
        "extension": st.sampled_from(["a", "b"]),
        "cost_nano_usd": st.integers(0, 10**9),
        "details": st.fixed_dictionaries(
            {"outcome": st.sampled_from(["ok", "cancelled"]), "is_byollm": st.booleans()},
            optional={
                "model": st.sampled_from(["m", "n"]),
                "purpose": st.sampled_from(["", "p"]),
                "input_tokens": st.integers(0, 1000),
                "output_tokens": st.integers(0, 1000),
            },
        ),
    }
)


@given(rows=st.lists(OUTCOMES, max_size=30), by=st.sampled_from(get_args(By)))
def test_lines_add_up_to_the_total_and_the_total_to_the_rows(rows: list[dict[str, Any]], by: By) -> None:
    made = statement(rows, by)
    counted = [row for row in rows if row["action"] == "llm" and row["kind"] != "intent"]
    attempts = [row for row in counted if row["kind"] != "correction"]
    assert made.total.cost_nano_usd == sum(row["cost_nano_usd"] for row in counted)
    assert made.total.attempts == len(attempts)
    assert made.total.input_tokens == sum(row["details"].get("input_tokens", 0) for row in attempts)
    for name in ("attempts", "own_key_attempts", "failed_attempts", "input_tokens", "output_tokens", "cost_nano_usd"):
        assert sum(getattr(line, name) for line in made.lines.values()) == getattr(made.total, name)


def test_a_day_is_one_of_utc() -> None:
    assert (day_of(0), day_of(86_399_999), day_of(86_400_000)) == ("1970-01-01", "1970-01-01", "1970-01-02")
