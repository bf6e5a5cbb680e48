"""A model that looks things up, says what it writes while it writes it, and ends with typed facts."""

from pydantic import BaseModel, Field

from imperal_sdk import ActionResult, ChatExtension, Context, Extension
from imperal_sdk.llm import TextDelta

ext = Extension(
    "researcher", version="1.0.0", display_name="Researcher", description="Look things up, and write about them."
)
chat = ChatExtension(ext)

NOTES = {
    "oslo": "Oslo is the capital of Norway. About 720,000 people live there.",
    "bergen": "Bergen lies on the west coast of Norway. It rains there on some 200 days a year.",
}


class Question(BaseModel):
    question: str = Field(description="What to find out.", min_length=1, max_length=2_000)


class Facts(BaseModel):
    """What was found, in short sentences."""

    facts: list[str] = Field(max_length=10)


async def look_up(topic: str) -> str:
    """Notes about a topic, for example a city."""
    return NOTES[topic.lower()]  # a KeyError is told to the model, which may try another topic


@chat.function(description="Answer a question from the notes.", action_type="read")
async def research(ctx: Context, params: Question) -> ActionResult:
    found = await ctx.llm.run_tools(
        [{"role": "user", "content": params.question}],
        [look_up],
        system="Look up what you need, then answer in one paragraph.",
        max_rounds=5,
        tokens_max=20_000,
    )
    ctx.log.info("researched", rounds=found.rounds, stopped_by=found.stopped_by)
    return ActionResult.success({"text": found.text, "rounds": found.rounds}, "Researched.")


@chat.function(description="Write about a question, and show the progress.", action_type="read")
async def write(ctx: Context, params: Question) -> ActionResult:
    words = 0
    async with ctx.llm.stream([{"role": "user", "content": params.question}], max_tokens=300) as stream:
        async for delta in stream:
            if isinstance(delta, TextDelta):
                words += len(delta.text.split())
                ctx.progress(min(99, words / 2), f"{words} words")
    return ActionResult.success({"text": stream.completion.text, "words": words}, "Written.")


@chat.function(description="Take the facts out of a text.", action_type="read")
async def facts(ctx: Context, params: Question) -> ActionResult:
    answer = await ctx.llm.create_message(
        [{"role": "user", "content": params.question}], system="List the facts.", response_model=Facts
    )
    return ActionResult.success(answer.parsed.model_dump(), f"{len(answer.parsed.facts)} facts.")
