from imperal_ext_summarizer import ext

from imperal_sdk.testing import MockContext, call_function


async def test_the_model_gets_the_text_and_its_answer_comes_back() -> None:
    ctx = MockContext()
    ctx.llm.set_response("Summarize in 12 words:\n\nA long story", "Short.")
    result = await call_function(ext, "summarize", ctx, text="A long story", max_words=12)
    assert result.to_dict() == {"status": "success", "summary": "", "data": {"text": "Short."}}
    assert ctx.llm.requests[0].parameters.max_tokens == 200
    assert ctx.logs == []


async def test_an_own_model_is_mentioned_in_the_log() -> None:
    ctx = MockContext(is_byollm=True, provider="anthropic")
    await call_function(ext, "summarize", ctx, text="x")
    assert [(entry["level"], entry["fields"]) for entry in ctx.logs] == [("info", {"provider": "anthropic"})]
