"""Without a host: the model is a script."""

import importlib.util
from pathlib import Path

from imperal_sdk.llm import ToolUseBlock
from imperal_sdk.testing import MockContext, call_function

spec = importlib.util.spec_from_file_location("researcher_main", Path(__file__).parent / "main.py")
assert spec is not None
assert spec.loader is not None
main = importlib.util.module_from_spec(spec)
spec.loader.exec_module(main)


async def test_it_looks_up_what_it_needs_and_is_told_what_there_is_not() -> None:
    ctx = MockContext()
    ctx.llm.set_response("KeyError.*720,000", "720,000 people.")
    uses = [
        ToolUseBlock(id=f"u{n}", name="look_up", input={"topic": topic}) for n, topic in enumerate(("Rome", "Oslo"))
    ]
    ctx.llm.set_response("How many", uses)
    result = await call_function(main.ext, "research", ctx, question="How many people live in Oslo?")
    assert result.data == {"text": "720,000 people.", "rounds": 2}


async def test_it_shows_its_progress_while_it_writes() -> None:
    ctx = MockContext()
    ctx.llm.set_response("fjords", "deep and cold")
    result = await call_function(main.ext, "write", ctx, question="fjords")
    assert result.data == {"text": "deep and cold", "words": 3}
    assert [report["message"] for report in ctx.progress_reports] == ["1 words", "2 words", "3 words"]


async def test_facts_are_typed() -> None:
    ctx = MockContext()
    ctx.llm.set_response("Oslo", main.Facts(facts=["It is in Norway."]))
    result = await call_function(main.ext, "facts", ctx, question="Oslo is in Norway.")
    assert result.data == {"facts": ["It is in Norway."]}
