import pytest
from imperal_ext_rewriter import ext
from pydantic import ValidationError

from imperal_sdk.testing import MockContext, call_function


async def test_it_names_its_purpose_and_leaves_the_parameters_to_the_admin() -> None:
    ctx = MockContext()
    ctx.llm.set_response("gimme", "Please give me")
    result = await call_function(ext, "rewrite", ctx, text="gimme", tone="formal")
    assert result.to_dict()["data"] == {"text": "Please give me", "tone": "formal"}
    assert ctx.llm.requests[0].purpose == "content_rewrite"
    assert ctx.llm.requests[0].parameters.said() == {}


async def test_an_unknown_tone_is_refused() -> None:
    with pytest.raises(ValidationError, match="tone"):
        await call_function(ext, "rewrite", MockContext(), text="x", tone="rude")
