"""To be somebody else: by what is said, by what is patched, by what was left behind by the last one."""

from registry import Act, Done, Targets, act

from imperal_sdk import Context

_MESSAGES = [{"role": "user", "content": "hi"}]


async def _whose_key(ctx: Context) -> str:
    """The model's server says whose key it was sent: ``theirs`` is somebody else's."""
    said = (await ctx.llm.create_message(_MESSAGES)).text
    if "hostile" in said:
        return Done("the host still used its own user's key")
    return f"another's key was used: {said}"


def _as_another(name: str) -> object:
    def register(change: Act) -> Act:
        async def changed(t: Targets, ctx: Context) -> str:
            change(t, ctx)
            return await _whose_key(ctx)

        return act(name)(changed)

    return register


@_as_another("say that its user is another")
def user(t: Targets, ctx: Context) -> None:
    ctx.user = ctx.user.model_copy(update={"imperal_id": t["victim"], "tenant_id": t["victim_tenant"]})


@_as_another("say that its tenant is another")
def tenant(t: Targets, ctx: Context) -> None:
    ctx.tenant = ctx.tenant.model_copy(update={"tenant_id": t["victim_tenant"]})


@_as_another("say that its role is admin")
def role(t: Targets, ctx: Context) -> None:
    ctx.user = ctx.user.model_copy(update={"role": "admin", "scopes": ["*"]})


@_as_another("say that the model is the platform's")
def platform(t: Targets, ctx: Context) -> None:
    ctx.llm.is_byollm = False
    ctx.llm.provider = "platform"


@act("name another tenant beside its arguments")
async def beside(t: Targets, ctx: Context) -> str:
    said = await ctx.llm._ask("progress.report", {"percent": 1, "message": "", "tenant": t["victim_tenant"]})
    return f"answered {said}"


@act("log in another tenant's name")
async def log(t: Targets, ctx: Context) -> str:
    entry = {"level": "info", "message": "x", "fields": {}, "tenant": t["victim_tenant"]}
    return f"answered {await ctx.llm._ask('log.write', entry)}"


@act("control: see its own user")
def own(t: Targets, ctx: Context) -> str:
    return f"user {ctx.user.imperal_id} of tenant {ctx.tenant.tenant_id}"
