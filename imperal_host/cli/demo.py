"""``imperal-host demo``: the main job, for real, from an empty data directory to a verified ledger."""

import json
import secrets
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.table import Table

import imperal_host
from imperal_host.app import Host, open_host, open_stores
from imperal_host.cli.ledger import entries_table, print_report
from imperal_host.cli.params import print_provenance
from imperal_host.cli.run import fail, out, plain, principal, run, settings
from imperal_host.cli.weights import fetch_weights
from imperal_host.errors import HostError
from imperal_host.gateway.binding import BindingDraft, owner_of
from imperal_host.gateway.parameters import LayerKey
from imperal_host.identity import Principal
from imperal_host.kernel.dispatch import Call, CallAnswer
from imperal_host.local.supervisor import LocalModelServer
from imperal_host.local.weights import weights_file
from imperal_host.settings import Settings
from imperal_sdk.llm import Parameters

_EXAMPLES = Path(imperal_host.__file__).parents[1] / "examples"
_PURPOSE = "content_rewrite"
_PLATFORM_SAYS = Parameters(temperature=0.1, top_p=0.9)
_ADMIN_SAYS = Parameters(temperature=0.4, max_tokens=40)
_OWN_MODEL = "ada-own-smollm2"


@dataclass(frozen=True, slots=True)
class _Stage:
    """What the steps share: a host, a user, and the model server that the user calls their own."""

    host: Host
    ada: Principal
    own: LocalModelServer
    own_key: str


def demo() -> None:
    """Run the main job on a real document, for real, and clean up. Takes about 20 seconds."""
    if not (_EXAMPLES / "document.txt").is_file():
        fail(f"the demo reads its document from a checkout; {_EXAMPLES} has none")
    weights = fetch_weights(settings().cache_dir)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="imperal-demo-") as scratch:
        chosen = settings(
            data_dir=Path(scratch, "data"),
            kek_file=Path(scratch, "keys", "kek"),
            extensions_dir=_EXAMPLES,
            # The user's own model of this demo listens on loopback, which the operator must allow.
            private_networks=("127.0.0.1/32",),
        )
        run(lambda: _perform(chosen))
    took = time.monotonic() - started
    out.print(f"\nDone in {took:.1f} s. Nothing is left running, and on disk only the weights: {weights}")


async def _perform(chosen: Settings) -> None:
    async with _stage(chosen) as stage:
        await stage.host.rooms.layers.put(LayerKey(), _PLATFORM_SAYS)
        document = (_EXAMPLES / "document.txt").read_text(encoding="utf-8")
        _discover(stage)
        await _platform_call(stage, document)
        await _own_model_call(stage, document)
        await _admin_parameters(stage)
        await _intrusion(stage)
        await _record(stage)


@asynccontextmanager
async def _stage(chosen: Settings) -> AsyncIterator[_Stage]:
    own_key = f"sk-ada-{secrets.token_hex(24)}"
    own = LocalModelServer(
        weights_file(chosen.cache_dir), alias=_OWN_MODEL, context_tokens=4_096, key=own_key, shows_requests=True
    )
    try:
        async with open_stores(chosen) as stores, open_host(stores) as host:
            yield _Stage(host, principal("acme", "ada"), own, own_key)
    finally:
        await own.aclose()


def _discover(stage: _Stage) -> None:
    _step("Extensions found by entry point and folder; each was loaded in a sandbox to learn its functions")
    for manifest in stage.host.rooms.catalog.all():
        names = ", ".join(function.name for function in manifest.functions)
        out.print(f"  {manifest.app_id} {manifest.version}: {names}")


async def _platform_call(stage: _Stage, document: str) -> None:
    _step("Ada has no model of her own: the platform's embedded model answers, and is priced")
    answer = await _call(stage, "summarizer", "summarize", {"text": document, "max_words": 40})
    _expect(answer.usage.cost_nano_usd > 0 and not answer.usage.is_byollm, "a platform call has a price")


async def _own_model_call(stage: _Stage, document: str) -> None:
    _step("Ada brings her own model, which speaks Anthropic's dialect: the same call costs her nothing")
    base_url, _ = await stage.own.endpoint()
    draft = BindingDraft("anthropic", _OWN_MODEL, base_url, "Ada's own", api_key=stage.own_key)
    binding = await stage.host.rooms.bindings.put(owner_of(stage.ada), draft)
    out.print(f"  stored, encrypted; of the key is shown: {binding.key_prefix}...")
    answer = await _call(stage, "summarizer", "summarize", {"text": document, "max_words": 40})
    _expect(answer.usage.cost_nano_usd == 0 and answer.usage.is_byollm, "an own-key call costs exactly 0")


async def _admin_parameters(stage: _Stage) -> None:
    _step(f"An admin sets temperature and max_tokens for the purpose {_PURPOSE}; Ada's model receives them")
    await stage.host.rooms.layers.put(LayerKey(purpose=_PURPOSE), _ADMIN_SAYS)
    found = await stage.host.rooms.planner.explain(stage.ada, "rewriter", _PURPOSE)
    print_provenance(found.resolved.provenance)
    await _call(stage, "rewriter", "rewrite", {"text": "hey, wanna see the old tower on the hill?", "tone": "formal"})
    received = _what_the_model_received((await stage.own.endpoint())[0], stage.own_key)
    temperature, max_tokens = round(float(received["temperature"]), 3), received["max_tokens"]
    out.print(f"  the model's own server reports: temperature {temperature}, max_tokens {max_tokens}")
    _expect((temperature, max_tokens) == (_ADMIN_SAYS.temperature, _ADMIN_SAYS.max_tokens), "the parameters arrive")


async def _intrusion(stage: _Stage) -> None:
    _step("A hostile extension tries to get at the key, the network and the host")
    chosen = stage.host.stores.settings
    base_url, _ = await stage.own.endpoint()
    port = urlsplit(base_url).port
    arguments = {"files": [str(chosen.database_file), str(chosen.kek_file)], "port": port}
    answer = await stage.host.rooms.kernel.dispatch(stage.ada, Call("intruder", "try_everything", arguments))
    assert isinstance(answer.result.data, dict)
    stopped_by = answer.result.data["stopped_by"]
    assert isinstance(stopped_by, dict)
    table = Table(box=None, pad_edge=False)
    table.add_column("attempt")
    table.add_column("stopped by", overflow="fold")
    for attempt, why in stopped_by.items():
        table.add_row(attempt, plain(why))
    out.print(table)
    _expect(not any(str(why).startswith("WORKED") for why in stopped_by.values()), "every attempt is refused")


async def _record(stage: _Stage) -> None:
    _step("The ledger: what was about to happen, and what did; then checked from the first row to the last")
    out.print(entries_table(await stage.host.rooms.ledger.latest(200)))
    report = await stage.host.rooms.ledger.verify()
    print_report(report)
    _expect(report.holds and report.open_intents == 0, "the ledger holds")


async def _call(stage: _Stage, extension: str, function: str, arguments: dict[str, Any]) -> CallAnswer:
    with out.status(f"{extension}.{function}"):
        answer = await stage.host.rooms.kernel.dispatch(stage.ada, Call(extension, function, arguments))
    assert isinstance(answer.result.data, dict)
    used = answer.usage
    out.print(f'  "{plain(answer.result.data["text"])}"', style="italic")
    out.print(
        f"  {used.provider} {used.model}: {used.input_tokens}+{used.output_tokens} tokens, "
        f"is_byollm {used.is_byollm}, cost {used.cost_nano_usd:,} nano-USD"
    )
    return answer


def _what_the_model_received(base_url: str, key: str) -> dict[str, Any]:
    """llama.cpp tells the sampling parameters of its last request at /slots."""
    request = urllib.request.Request(  # noqa: S310
        f"{base_url.removesuffix('/v1')}/slots", headers={"authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        slots: list[dict[str, Any]] = json.load(response)
    parameters: dict[str, Any] = slots[0]["params"]
    return parameters


def _step(title: str) -> None:
    out.print(f"\n[bold]{title}[/]")


def _expect(true: bool, claim: str) -> None:
    if not true:
        raise DemoFailedError(f"the demo expected that {claim}; it is not so")


class DemoFailedError(HostError):
    """What the demo shows did not happen."""
