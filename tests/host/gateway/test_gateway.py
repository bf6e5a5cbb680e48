"""One model call: what is on record before, what after, who pays, and whose key goes where."""

import asyncio
from pathlib import Path

import orjson
import pytest

from imperal_host.errors import (
    BudgetExhaustedError,
    CascadeExhaustedError,
    EgressBlockedError,
    HostError,
    LedgerError,
    RefusedError,
    SealedError,
    UnavailableError,
)
from imperal_host.gateway.binding import PLATFORM, BindingDraft, owner_of
from imperal_host.gateway.parameters import LayerKey
from imperal_host.ledger.event import Event, Receipt
from imperal_host.ledger.ledger import Ledger
from imperal_host.storage.database import Database
from imperal_sdk.llm import LlmRequest, Message, Parameters
from tests.host.conftest import bytes_on_disk, principal, scope, sql, turns_of_the_loop
from tests.host.gateway.stage import (
    LOCAL_MODEL,
    OWN,
    OWN_KEY,
    PLATFORM_DRAFT,
    PLATFORM_KEY,
    Stage,
    anthropic,
    chat,
    refusal,
)

ASK = LlmRequest(messages=(Message(role="user", content="a private text"),), purpose="draft")
ADA = owner_of(principal())


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


class Failing:
    """A ledger whose disk is full from the given append on."""

    def __init__(self, ledger: Ledger, appends_left: int) -> None:
        self.ledger = ledger
        self.appends_left = appends_left

    async def append(self, event: Event) -> Receipt:
        if self.appends_left == 0:
            raise LedgerError("disk full")
        self.appends_left -= 1
        return await self.ledger.append(event)


class Slow:
    """A ledger whose disk takes its time."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.begun, self.may_write = asyncio.Event(), asyncio.Event()

    async def append(self, event: Event) -> Receipt:
        self.begun.set()
        writing = asyncio.ensure_future(self._write(event))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            await writing
            raise

    async def _write(self, event: Event) -> Receipt:
        await self.may_write.wait()
        return await self.ledger.append(event)


def rows(file: Path) -> list[tuple[str, str]]:
    """What another process sees on record: kind, and how it came out."""
    bodies = sql(file, 'select body from entry order by tenant, "index"')
    return [(row["kind"], row["details"].get("outcome", "")) for row in (orjson.loads(body) for (body,) in bodies)]


async def test_the_intent_is_durable_before_a_byte_leaves_and_the_outcome_before_the_answer_does(
    stage: Stage, database_file: Path
) -> None:
    await stage.bindings.put(ADA, OWN)
    seen: list[list[tuple[str, str]]] = []
    stage.transport.on_request = lambda: seen.append(rows(database_file))
    completion = await stage.gateway().complete(scope(), ASK)
    assert completion.text == "hello"
    assert seen == [[("intent", "")]]
    assert rows(database_file) == [("intent", ""), ("outcome", "ok")]


async def test_a_row_says_what_was_asked_of_whom_and_not_what_was_said(stage: Stage) -> None:
    await stage.bindings.put(ADA, OWN)
    asking = scope()
    await stage.gateway().complete(asking, ASK)
    intent, outcome = await stage.ledger.latest(10)
    assert intent.call_id == outcome.call_id != asking.call
    assert intent.content["parent"] == outcome.content["parent"] == asking.call
    for row in (intent, outcome):
        assert (row.tenant, row.user, row.content["extension"]) == ("acme", "ada", "summarizer")
        details = row.content["details"]
        assert (details["provider"], details["model"]) == ("openai", "own-model")
        assert (details["purpose"], details["is_byollm"], details["binding_version"]) == ("draft", True, 1)
        assert b"a private text" not in row.body
        assert b"hello" not in row.body
    assert (outcome.content["details"]["input_tokens"], outcome.content["details"]["output_tokens"]) == (10, 5)
    assert (await stage.ledger.verify()).holds


@pytest.mark.parametrize(("sent", "made"), [(10, 5), (0, 0), (10**12, 10**12)])
async def test_an_own_key_costs_exactly_nothing_whatever_was_used(stage: Stage, sent: int, made: int) -> None:
    await stage.bindings.put(ADA, OWN)
    stage.transport.script = [chat(sent=sent, made=made)]
    completion = await stage.gateway(budget=0).complete(scope(), ASK)
    assert (completion.is_byollm, completion.cost_nano_usd) == (True, 0)
    assert completion.usage.input_tokens == sent
    assert [row.cost_nano_usd for row in await stage.ledger.latest(10)] == [0, 0]


async def test_a_platform_model_costs_its_price_and_only_the_outcome_is_posted(stage: Stage) -> None:
    await stage.bindings.put(PLATFORM, PLATFORM_DRAFT)
    stage.transport.script = [anthropic(sent=10, made=5)]
    completion = await stage.gateway().complete(scope(), ASK)
    assert (completion.is_byollm, completion.cost_nano_usd) == (False, 10 * 3 + 5 * 7)
    assert [row.cost_nano_usd for row in await stage.ledger.latest(10)] == [0, 65]
    assert await stage.ledger.spent_nano_usd(principal().tenant, principal().user) == 65


async def test_without_any_binding_the_embedded_model_answers_on_loopback(stage: Stage) -> None:
    completion = await stage.gateway(local=True).complete(scope(), ASK)
    assert (completion.provider, completion.cost_nano_usd) == ("local", 10 * 1 + 5 * 2)
    assert [request.url.host for request in stage.transport.requests] == ["127.0.0.1"]
    assert stage.sent_bodies()[0]["model"] == LOCAL_MODEL


async def test_an_inactive_binding_counts_as_none(stage: Stage) -> None:
    await stage.bindings.put(ADA, BindingDraft("openai", "own-model", api_key=OWN_KEY, is_active=False))
    await stage.bindings.put(PLATFORM, PLATFORM_DRAFT)
    stage.transport.script = [anthropic()]
    assert (await stage.gateway().complete(scope(), ASK)).provider == "anthropic"
    assert stage.sent_keys() == [PLATFORM_KEY]


async def test_a_failing_own_model_is_an_error_unless_the_user_chose_to_fall_back(
    stage: Stage, database_file: Path
) -> None:
    await stage.bindings.put(ADA, OWN)
    await stage.bindings.put(PLATFORM, PLATFORM_DRAFT)
    stage.transport.script = [refusal(500)]
    with pytest.raises(UnavailableError):
        await stage.gateway().complete(scope(), ASK)
    assert stage.sent_keys() == [OWN_KEY]
    assert rows(database_file) == [("intent", ""), ("outcome", "upstream.unavailable")]


async def test_falling_back_is_two_attempts_with_two_rows_each(stage: Stage, database_file: Path) -> None:
    await stage.bindings.put(ADA, BindingDraft("openai", "own-model", api_key=OWN_KEY, fallback="platform"))
    await stage.bindings.put(PLATFORM, PLATFORM_DRAFT)
    stage.transport.script = [refusal(401), anthropic()]
    completion = await stage.gateway().complete(scope(), ASK)
    assert (completion.is_byollm, completion.cost_nano_usd) == (False, 65)
    assert stage.sent_keys() == [OWN_KEY, PLATFORM_KEY]
    assert rows(database_file) == [
        ("intent", ""), ("outcome", "upstream.refused"), ("intent", ""), ("outcome", "ok"),
    ]  # fmt: skip
    assert [row.cost_nano_usd for row in await stage.ledger.latest(10)] == [0, 0, 0, 65]


async def test_when_both_fail_both_are_told(stage: Stage) -> None:
    await stage.bindings.put(ADA, BindingDraft("openai", "own-model", api_key=OWN_KEY, fallback="platform"))
    await stage.bindings.put(PLATFORM, PLATFORM_DRAFT)
    stage.transport.script = [refusal(401), refusal(503)]
    with pytest.raises(CascadeExhaustedError) as failure:
        await stage.gateway().complete(scope(), ASK)
    assert [type(each) for each in failure.value.failures] == [RefusedError, UnavailableError]
    assert await stage.ledger.spent_nano_usd(principal().tenant, principal().user) == 0


async def test_a_blocked_address_is_on_record_and_does_not_fall_back(stage: Stage, database_file: Path) -> None:
    stage.names["api.openai.com"] = "10.0.0.1"
    await stage.bindings.put(ADA, BindingDraft("openai", "own-model", api_key=OWN_KEY, fallback="platform"))
    await stage.bindings.put(PLATFORM, PLATFORM_DRAFT)
    with pytest.raises(EgressBlockedError):
        await stage.gateway().complete(scope(), ASK)
    assert stage.transport.requests == []
    assert rows(database_file) == [("intent", ""), ("outcome", "upstream.egress_blocked")]


async def test_what_cannot_be_put_on_record_is_not_sent(stage: Stage) -> None:
    await stage.bindings.put(PLATFORM, PLATFORM_DRAFT)
    with pytest.raises(LedgerError):
        await stage.gateway(ledger=Failing(stage.ledger, 0), budget=10**9).complete(scope(), ASK)
    assert stage.transport.requests == []
    assert stage.held() == 0


@pytest.mark.parametrize("outcome", [chat(), refusal(500)])
async def test_an_answer_whose_outcome_cannot_be_put_on_record_is_withheld(
    stage: Stage, outcome: tuple[int, bytes]
) -> None:
    await stage.bindings.put(ADA, BindingDraft("openai", "own-model", api_key=OWN_KEY, fallback="platform"))
    await stage.bindings.put(PLATFORM, PLATFORM_DRAFT)
    stage.transport.script = [outcome]
    with pytest.raises(LedgerError):
        await stage.gateway(ledger=Failing(stage.ledger, 1), budget=10**9).complete(scope(), ASK)
    assert len(stage.transport.requests) == 1, "a ledger that cannot write stops the fallback too"
    assert stage.held() == 0


async def test_a_call_that_is_cancelled_in_flight_is_on_record_and_holds_nothing(
    stage: Stage, database_file: Path
) -> None:
    await stage.bindings.put(PLATFORM, PLATFORM_DRAFT)
    stage.transport.hangs = True
    calling = asyncio.ensure_future(stage.gateway(budget=10**9).complete(scope(), ASK))
    await asyncio.wait_for(stage.transport.reached.wait(), 10)
    held_nano_usd = [stage.held()]
    for _ in range(3):  # the deadline, and then whoever is impatient
        calling.cancel()
        await turns_of_the_loop(1)
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert rows(database_file) == [("intent", ""), ("outcome", "cancelled")]
    assert stage.held() == 0
    most = max(held_nano_usd)
    assert await stage.ledger.spent_nano_usd(principal().tenant, principal().user) == most > 0, "it was sent"


async def test_a_call_that_is_cancelled_before_it_is_sent_has_both_rows_and_is_not_sent(
    stage: Stage, database_file: Path
) -> None:
    await stage.bindings.put(PLATFORM, PLATFORM_DRAFT)
    slow = Slow(stage.ledger)
    calling = asyncio.ensure_future(stage.gateway(ledger=slow, budget=10**9).complete(scope(), ASK))
    await asyncio.wait_for(slow.begun.wait(), 10)
    calling.cancel()
    await turns_of_the_loop(5)
    slow.may_write.set()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert stage.transport.requests == []
    assert rows(database_file) == [("intent", ""), ("outcome", "cancelled")]
    assert stage.held() == 0


async def test_a_budget_that_is_too_small_refuses_before_anything_is_written_or_sent(
    stage: Stage, database_file: Path
) -> None:
    await stage.bindings.put(PLATFORM, PLATFORM_DRAFT)
    with pytest.raises(BudgetExhaustedError):
        await stage.gateway(budget=1).complete(scope(), ASK)
    assert (rows(database_file), stage.transport.requests) == ([], [])


async def test_a_hold_covers_the_output_bound_and_is_given_back(stage: Stage) -> None:
    await stage.bindings.put(PLATFORM, PLATFORM_DRAFT)
    stage.transport.script = [anthropic()]
    held: list[int] = []
    stage.transport.on_request = lambda: held.append(stage.held())
    ask = ASK.model_copy(update={"parameters": Parameters(max_tokens=100)})
    await stage.gateway(budget=10**9).complete(scope(), ask)
    assert held[0] >= 100 * 7
    assert stage.held() == 0


async def test_the_same_user_name_in_two_tenants_is_two_users(stage: Stage) -> None:
    await stage.bindings.put(owner_of(principal("acme", "ada")), OWN)
    await stage.bindings.put(
        owner_of(principal("globex", "ada")), BindingDraft("openai", "their-model", api_key="sk-of-globex-0123456789")
    )
    gateway = stage.gateway()
    await gateway.complete(scope("acme", "ada"), ASK)
    await gateway.complete(scope("globex", "ada"), ASK)
    assert stage.sent_keys() == [OWN_KEY, "sk-of-globex-0123456789"]
    assert [body["model"] for body in stage.sent_bodies()] == ["own-model", "their-model"]
    for stranger in (scope("initech", "ada"), scope("acme", "eve")):
        with pytest.raises(UnavailableError):
            await gateway.complete(stranger, ASK)
    assert len(stage.transport.requests) == 2


@pytest.mark.parametrize("fallback", ["error", "platform"])
async def test_a_key_that_does_not_open_is_sealed_and_never_a_platform_call(
    stage: Stage, database_file: Path, fallback: str
) -> None:
    draft = BindingDraft("openai", "own-model", api_key=OWN_KEY, fallback=fallback)  # type: ignore[arg-type]
    await stage.bindings.put(ADA, draft)
    await stage.bindings.put(PLATFORM, PLATFORM_DRAFT)
    sql(database_file, "update secret set sealed = zeroblob(60) where tenant = 'acme'")
    with pytest.raises(SealedError):
        await stage.gateway(budget=10**9).complete(scope(), ASK)
    assert rows(database_file) == [("intent", ""), ("outcome", "vault.sealed")]
    assert (stage.transport.requests, stage.held()) == ([], 0)


@pytest.mark.parametrize("status", [200, 400, 401, 500])
async def test_a_key_that_the_upstream_repeats_is_in_no_row_no_error_and_no_answer(
    stage: Stage, database_file: Path, status: int
) -> None:
    await stage.bindings.put(ADA, OWN)
    stage.transport.script = [chat(text=f"your key is {OWN_KEY}") if status == 200 else refusal(status, OWN_KEY)]
    try:
        told = repr(await stage.gateway().complete(scope(), ASK))
    except HostError as error:
        told = repr(error)
    assert stage.sent_keys() == [OWN_KEY]
    assert "[redacted]" in told
    assert OWN_KEY not in told
    assert OWN_KEY.encode() not in bytes_on_disk(database_file)


async def test_what_the_admin_set_is_what_is_sent_and_the_answer_says_so(stage: Stage) -> None:
    await stage.bindings.put(PLATFORM, PLATFORM_DRAFT)
    await stage.layers.put(LayerKey(), Parameters(temperature=0.9, top_p=0.9, seed=1))
    await stage.layers.put(LayerKey("summarizer", "draft"), Parameters(temperature=0.0))
    stage.transport.script = [anthropic()]
    ask = ASK.model_copy(update={"parameters": Parameters(max_tokens=7)})
    completion = await stage.gateway().complete(scope(), ask)
    (body,) = stage.sent_bodies()
    assert (body["temperature"], body["top_p"], body["max_tokens"], "seed" in body) == (0.0, 0.9, 7, False)
    origins = {name: (origin.layer, bool(origin.dropped)) for name, origin in completion.provenance.items()}
    assert origins == {
        "max_tokens": ("call", False),
        "temperature": ("extension summarizer, purpose draft", False),
        "top_p": ("platform", False),
        "seed": ("platform", True),
    }
    (outcome,) = [row for row in await stage.ledger.latest(10) if row.kind == "outcome"]
    assert outcome.content["details"]["parameter_layers"]["seed"] == "platform (dropped)"


async def test_explaining_decides_everything_and_sends_and_writes_nothing(stage: Stage, database_file: Path) -> None:
    await stage.bindings.put(PLATFORM, PLATFORM_DRAFT)
    await stage.layers.put(LayerKey(), Parameters(temperature=0.0, seed=1))
    told = await stage.planner().explain(principal(), "summarizer", "draft")
    assert told.target.model == "platform-model"
    assert told.resolved.values == {"temperature": 0.0, "max_tokens": 1024}
    assert told.resolved.provenance["max_tokens"].layer == "provider default"
    assert (stage.transport.requests, rows(database_file)) == ([], [])


async def test_a_change_holds_from_the_next_call_on(stage: Stage) -> None:
    gateway = stage.gateway()
    await stage.bindings.put(ADA, OWN)
    await gateway.complete(scope(), ASK)
    await stage.bindings.put(ADA, BindingDraft("openai", "newer-model"))
    await gateway.complete(scope(), ASK)
    await stage.bindings.delete(ADA)
    with pytest.raises(UnavailableError):
        await gateway.complete(scope(), ASK)
    assert [body["model"] for body in stage.sent_bodies()] == ["own-model", "newer-model"]
