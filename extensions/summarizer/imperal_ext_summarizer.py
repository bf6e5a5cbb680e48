"""Summarize text with whatever model the user has."""

from pydantic import BaseModel, Field

from imperal_sdk import ChatExtension, Extension

ext = Extension(
    "summarizer", version="1.0.0", display_name="Summarizer", description="Summarize text with the user's model."
)
chat = ChatExtension(ext)


class SummarizeParams(BaseModel):
    text: str = Field(description="The content to summarize.")
    max_words: int = Field(80, description="Target summary length.")


@chat.function(description="Summarize a piece of text using the user's configured LLM.", action_type="read")
async def summarize(ctx, params: SummarizeParams):
    if ctx.llm.is_byollm:
        ctx.log.info("Using user's own LLM", provider=ctx.llm.provider)
    response = await ctx.llm.create_message(
        system="You are a concise summarizer. Output plain text only.",
        messages=[{"role": "user", "content": f"Summarize in {params.max_words} words:\n\n{params.text}"}],
        max_tokens=200,
    )
    return {"text": response.text}
