"""Asking the host for what was not granted, and for more than was."""

from registry import Done, Targets, act

from imperal_sdk import Context

_MESSAGES = [{"role": "user", "content": "hi"}]
NOT_GRANTED = (
    "vault.open", "vault.put", "vault.names", "ledger.append", "ledger.read", "bindings.get", "settings.read",
    "tokens.create", "llm", "llm.complete.other", "LLM.COMPLETE", "llm.complete\0", " llm.complete", "", "__class__",
    "__init__", "_llm_complete", "x" * 10_000, "../vault.open",
)  # fmt: skip


def _title(capability: str) -> str:
    return f"ask for {(capability if len(capability) < 100 else 'a name of 10,000 letters')!r}"


for capability in NOT_GRANTED:

    async def _ask(t: Targets, ctx: Context, capability: str = capability) -> str:
        return f"answered {await ctx.llm._ask(capability, {'name': 'llm/platform'})}"

    act(_title(capability))(_ask)

_EXTRA = {
    "a tenant": {"tenant": "canary"}, "a user": {"user": "ada"}, "a key": {"api_key": "sk"},
    "an address": {"base_url": "http://127.0.0.1"}, "a provider": {"provider": "openai"}, "headers": {"headers": {}},
    "a binding": {"binding": "user/ada"}, "an owner": {"owner": {"tenant": "canary", "name": "user/ada"}},
}  # fmt: skip
for name, extra in _EXTRA.items():

    async def _complete(t: Targets, ctx: Context, extra: dict[str, object] = extra) -> str:
        return f"answered {await ctx.llm._ask('llm.complete', {'messages': _MESSAGES, **extra})}"

    act(f"ask a model with {name} of its choice")(_complete)


@act("have the model's server repeat the key")
async def repeat_key(t: Targets, ctx: Context) -> str:
    """The server of the hostile user's own model is on their side: it answers with what it was sent."""
    answer = await ctx.llm.create_message(_MESSAGES, purpose="repeat")
    return Done(f"the server repeated: {answer.text}")


@act("have the model's server repeat the key in an error")
async def repeat_key_in_error(t: Targets, ctx: Context) -> str:
    return f"answered: {(await ctx.llm.create_message([{'role': 'user', 'content': 'fail'}])).text}"


@act("have the model's server send the host elsewhere")
async def redirect(t: Targets, ctx: Context) -> str:
    return f"answered: {(await ctx.llm.create_message([{'role': 'user', 'content': 'redirect'}])).text}"


@act("ask a model for 10,000 answers at once")
async def many(t: Targets, ctx: Context) -> str:
    import asyncio

    answers = await asyncio.gather(*(ctx.llm.create_message(_MESSAGES) for _ in range(10_000)))
    return f"{len(answers)} answers"


@act("control: ask the user's own model")
async def own_model(t: Targets, ctx: Context) -> str:
    return f"answered {(await ctx.llm.create_message(_MESSAGES)).text!r}"
