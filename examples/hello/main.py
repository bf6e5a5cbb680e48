"""The smallest useful extension: a folder with a main.py."""

from pydantic import BaseModel, Field

from imperal_sdk import ActionResult, ChatExtension, Context, Extension

ext = Extension("hello", version="1.0.0", display_name="Hello", description="Greet somebody, politely.")
chat = ChatExtension(ext)


class GreetParams(BaseModel):
    name: str = Field(description="Whom to greet.", min_length=1, max_length=100)


@chat.function(description="Greet somebody by name.", action_type="read")
async def greet(ctx: Context, params: GreetParams) -> ActionResult:
    ctx.log.info("greeting", name=params.name)
    return ActionResult.success({"text": f"Hello, {params.name}. I am {ctx.user.imperal_id}'s."}, "Greeted.")


@chat.function(description="Forget everybody who was ever greeted.", action_type="destructive")
async def forget(ctx: Context) -> ActionResult:
    return ActionResult.success({"forgotten": True}, "Forgotten.")
