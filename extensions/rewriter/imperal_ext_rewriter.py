"""Rewrite text in another tone. It names a purpose and no parameter: what is sent is the admin's decision."""

from typing import Literal

from pydantic import BaseModel, Field

from imperal_sdk import ActionResult, ChatExtension, Context, Extension

ext = Extension("rewriter", version="1.0.0", display_name="Rewriter", description="Rewrite text in another tone.")
chat = ChatExtension(ext)


class RewriteParams(BaseModel):
    text: str = Field(description="The text to rewrite.", min_length=1)
    tone: Literal["plain", "formal", "friendly"] = Field("plain", description="The tone wanted.")


class Rewritten(BaseModel):
    text: str
    tone: str


@chat.function("rewrite", description="Rewrite a text in another tone.", action_type="read", data_model=Rewritten)
async def rewrite(ctx: Context, params: RewriteParams) -> ActionResult[Rewritten]:
    response = await ctx.llm.create_message(
        system=f"Rewrite the user's text in a {params.tone} tone. Output the text only.",
        messages=[{"role": "user", "content": params.text}],
        purpose="content_rewrite",
    )
    return ActionResult.success(Rewritten(text=response.text, tone=params.tone), f"Rewritten in a {params.tone} tone.")
