"""``imperal-host llm``: a user's own model, or the platform's."""

import sys
from typing import Annotated

import typer

from imperal_host.api.bodies import shown
from imperal_host.app import Stores, make_gateway, make_planner
from imperal_host.cli.options import AsJson, Tenant, User
from imperal_host.cli.params import layer_key
from imperal_host.cli.run import fail, out, plain, principal, standard_input, with_stores
from imperal_host.errors import NotFoundError
from imperal_host.gateway.binding import (
    Binding,
    BindingDraft,
    Fallback,
    Owner,
    owner_of,
    platform_owner,
    project_owner,
)
from imperal_host.gateway.resolver import Source
from imperal_host.gateway.trial import Trials, Verdict

app = typer.Typer(no_args_is_help=True, help="A user's own model (BYOLLM), or with --platform the platform's.")
Platform = Annotated[bool, typer.Option("--platform", help="The platform's model instead of a user's.")]


ForExtension = Annotated[str, typer.Option("--extension", help="With --platform: for this extension only.")]
ForPurpose = Annotated[str, typer.Option("--purpose", help="With --platform: for this purpose only.")]
OfProject = Annotated[str, typer.Option("--project", help="A project's of the tenant, instead of a user's.")]


def _owner(platform: bool, tenant: str, user: str, extension: str = "", purpose: str = "", project: str = "") -> Owner:
    if platform:
        if extension and purpose:
            fail("--extension and --purpose exclude one another")
        layer_key(extension, purpose)
        return platform_owner(extension, purpose)
    if extension or purpose:
        fail("--extension and --purpose go with --platform")
    who = principal(tenant, user)
    return project_owner(who.tenant, project) if project else owner_of(who)


@app.command(name="set")
def set_(
    provider: Annotated[str, typer.Argument(help="openai, anthropic, google, openai_compatible, local-ollama, ...")],
    model: Annotated[str, typer.Argument(help="The provider's name of the model.")],
    base_url: Annotated[str, typer.Option(help="The address of the server, if not the provider's own.")] = "",
    display_name: Annotated[str, typer.Option(help="A name for people.")] = "",
    key_stdin: Annotated[bool, typer.Option("--key-stdin", help="Read the key from standard input.")] = False,
    no_key: Annotated[bool, typer.Option("--no-key", help="The server needs no key.")] = False,
    keep_key: Annotated[bool, typer.Option("--keep-key", help="Keep the stored key.")] = False,
    inactive: Annotated[bool, typer.Option("--inactive", help="Store it without using it.")] = False,
    fallback: Annotated[str, typer.Option(help="error, or platform: what to do when it fails.")] = "error",
    purpose_model: Annotated[
        list[str] | None, typer.Option(help="PURPOSE=MODEL, another model for a purpose; may be repeated.")
    ] = None,
    platform: Platform = False,
    extension: ForExtension = "",
    purpose: ForPurpose = "",
    project: OfProject = "",
    tenant: Tenant = "default",
    user: User = "local",
) -> None:
    """Store a model. The key is asked for, and never shown again."""
    if fallback not in ("error", "platform"):
        fail("--fallback is error or platform")
    if key_stdin + no_key + keep_key > 1:
        fail("--key-stdin, --no-key and --keep-key exclude one another")
    key: str | None = None
    if key_stdin:
        key = standard_input().rstrip("\n")
    elif no_key:
        key = ""
    elif not keep_key:
        if not sys.stdin.isatty():
            fail("there is no terminal to ask for the key at; use --key-stdin, --keep-key or --no-key")
        key = typer.prompt("API key", hide_input=True)
    chosen: Fallback = "platform" if fallback == "platform" else "error"
    models = dict(_pair(text) for text in purpose_model or ())
    draft = BindingDraft(provider, model, base_url, display_name, not inactive, chosen, key, models)
    owner = _owner(platform, tenant, user, extension, purpose, project)

    async def work(stores: Stores) -> Binding:
        return await stores.bindings.put(owner, draft)

    _print(with_stores(work))


@app.command()
def show(
    platform: Platform = False,
    extension: ForExtension = "",
    purpose: ForPurpose = "",
    project: OfProject = "",
    tenant: Tenant = "default",
    user: User = "local",
    as_json: AsJson = False,
) -> None:
    """Show the stored model: everything but the key."""
    owner = _owner(platform, tenant, user, extension, purpose, project)

    async def work(stores: Stores) -> Binding | None:
        return await stores.bindings.get(owner)

    binding = with_stores(work)
    if as_json:
        out.print_json(data=shown(binding))
    elif binding is None and platform:
        out.print("No platform model is set: the embedded one answers. To set one: imperal-host llm set --help")
    elif binding is None:
        out.print("No model of their own: calls go to the platform's. To set one: imperal-host llm set --help")
    else:
        _print(binding)


@app.command()
def delete(
    platform: Platform = False,
    extension: ForExtension = "",
    purpose: ForPurpose = "",
    project: OfProject = "",
    tenant: Tenant = "default",
    user: User = "local",
) -> None:
    """Remove the stored model and its key."""
    owner = _owner(platform, tenant, user, extension, purpose, project)

    async def work(stores: Stores) -> bool:
        return await stores.bindings.delete(owner)

    if not with_stores(work):
        fail("no model is configured here")
    out.print("Removed.")


@app.command(name="test")
def try_(
    platform: Platform = False,
    extension: ForExtension = "",
    purpose: ForPurpose = "",
    project: OfProject = "",
    tenant: Tenant = "default",
    user: User = "local",
) -> None:
    """Make one tiny call with the stored model, and say what came of it. Exit status 1 if it does not work."""
    owner = _owner(platform, tenant, user, extension, purpose, project)
    who = principal(tenant, user)

    async def work(stores: Stores) -> Verdict:
        binding = await stores.bindings.get(owner)
        if binding is None:
            raise NotFoundError("no model is stored here; to store one: imperal-host llm set --help")
        gateway = make_gateway(stores, make_planner(stores, None), None)
        try:
            source: Source = "platform" if platform else "project" if project else "user"
            return await Trials(gateway, stores.bindings, stores.vendors, stores.clock).stored(who, binding, source)
        finally:
            await gateway.aclose()

    verdict = with_stores(work)
    if not verdict.ok:
        fail(verdict.message)
    out.print(plain(verdict.message))


def _pair(text: str) -> tuple[str, str]:
    purpose, separator, model = text.partition("=")
    if not separator:
        fail(f"--purpose-model {text}: write PURPOSE=MODEL")
    return purpose, model


def _print(binding: Binding) -> None:
    key = f"{binding.key_prefix}..." if binding.key_prefix else "none"
    state = "active" if binding.is_active else "inactive"
    out.print(
        f"{plain(binding.provider)} {plain(binding.model)} at {plain(binding.base_url)}: {state}, "
        f"key {plain(key)}, when it fails: {binding.fallback}"
    )
