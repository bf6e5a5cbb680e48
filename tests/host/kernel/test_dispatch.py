"""One call through the real kernel, pool and sandbox, with an extension that behaves in every way."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from imperal_host.app import Host, open_host, open_stores
from imperal_host.errors import (
    BusyError,
    ConfirmationRequiredError,
    DeadlineError,
    ExtensionRaisedError,
    ExtensionStoppedError,
    HostError,
    InvalidError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from imperal_host.identity import Principal, TenantId, UserId
from imperal_host.kernel.dispatch import Call, CallAnswer
from imperal_host.ledger.store import Entry
from tests.conftest import FIXTURES, host_on, settings_in

ADA = Principal(TenantId("acme"), UserId("ada"), "ada@acme.example", scopes=("notes.*",))


@pytest.fixture(scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    settings = settings_in(
        tmp_path_factory.mktemp("kernel"),
        extensions_dir=FIXTURES / "extensions",
        call_seconds_max=3,
        asks_per_call_max=200,
        isolates_per_principal_max=3,
        isolate_calls_at_once_max=1,
    )
    async with host_on(settings) as host:
        yield host


async def call(host: Host, function: str, principal: Principal = ADA, **arguments: object) -> CallAnswer:
    return await host.rooms.kernel.dispatch(principal, Call("probe", function, arguments))


async def last_rows(host: Host, count: int) -> list[Entry]:
    return await host.rooms.ledger.latest(count, ADA.tenant)


async def test_a_model_comes_back_as_an_action_result(host: Host) -> None:
    answer = await call(host, "double", value=21)
    assert (answer.result.status, answer.result.data) == ("success", {"double": 42})
    assert answer.usage.llm_calls == 0
    assert answer.result.action_receipt == str(answer.receipt)


async def test_the_context_tells_who_and_nothing_more(host: Host) -> None:
    data = (await call(host, "whoami")).result.data
    assert isinstance(data, dict)
    assert data["user"] == {
        "imperal_id": "ada",
        "email": "ada@acme.example",
        "tenant_id": "acme",
        "role": "user",
        "scopes": ["notes.*"],
        "attributes": {},
        "is_active": True,
    }
    assert data["config"] == {"greeting": "hi"}
    assert data["llm"] == [False, "", ""], "no model is installed on this host"
    assert datetime.fromisoformat(str(data["time"])).tzinfo is not None


async def test_two_rows_are_on_record_and_the_receipt_names_the_second(host: Host) -> None:
    answer = await call(host, "double", value=1)
    intent, outcome = await last_rows(host, 2)
    assert [(row.kind, row.call_id) for row in (intent, outcome)] == [
        ("intent", answer.call_id),
        ("outcome", answer.call_id),
    ]
    assert (answer.receipt.index, answer.receipt.hash) == (outcome.index, outcome.hash.hex())
    assert outcome.content["details"]["outcome"] == "ok"
    assert (intent.content["extension"], intent.content["extension_version"]) == ("probe", "1.2.3")


@pytest.mark.parametrize(
    ("extension", "function", "says"),
    [("nothing", "double", "no extension 'nothing'"), ("probe", "nothing", "no function 'nothing'; it has: double")],
)
async def test_what_does_not_exist_is_not_found_and_leaves_no_row(
    host: Host, extension: str, function: str, says: str
) -> None:
    before = len(await last_rows(host, 10_000))
    with pytest.raises(NotFoundError, match=says):
        await host.rooms.kernel.dispatch(ADA, Call(extension, function, {}))
    assert len(await last_rows(host, 10_000)) == before


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [({}, ["value"]), ({"value": -1}, ["value"]), ({"value": "many"}, ["value"]), ({"value": None}, ["value"])],
)
async def test_a_wrong_argument_is_the_callers_mistake_and_names_the_field(
    host: Host, arguments: dict[str, object], fields: list[str]
) -> None:
    with pytest.raises(InvalidError) as raised:
        await call(host, "double", **arguments)
    assert [problem.field for problem in raised.value.problems] == fields
    assert (await last_rows(host, 1))[0].content["details"]["outcome"] == "request.invalid"


async def test_a_destructive_function_waits_for_a_yes(host: Host) -> None:
    with pytest.raises(ConfirmationRequiredError) as raised:
        await call(host, "wipe", text="everything")
    assert raised.value.would == {
        "extension": "probe",
        "function": "wipe",
        "description": "Remove it all.",
        "arguments": {"text": "everything"},
    }
    assert (await last_rows(host, 1))[0].content["details"]["outcome"] == "request.confirmation_required"
    confirmed = await host.rooms.kernel.dispatch(ADA, Call("probe", "wipe", {"text": "all"}, confirmed=True))
    assert confirmed.result.data == {"wiped": "all"}


async def test_an_error_the_author_reports_is_an_answer(host: Host) -> None:
    result = (await call(host, "report_error")).result
    assert (result.status, result.error, result.error_code, result.retryable) == (
        "error",
        "no such note",
        "NOTE_MISSING",
        True,
    )


@pytest.mark.parametrize(
    ("function", "kind", "says"),
    [
        ("raises", ExtensionRaisedError, "ValueError: a mistake in two lines"),
        ("returns_nothing", ExtensionRaisedError, "returned NoneType; return a dict"),
        ("returns_unsendable", ExtensionRaisedError, "the answer cannot be sent"),
        ("returns_nan", ExtensionRaisedError, "returned NaN or infinity"),
        ("returns_too_much", ExtensionRaisedError, "over the limit of 4,194,304 bytes"),
        ("hangs", DeadlineError, "hangs did not answer within 3 s"),
        ("spins", DeadlineError, "spins did not answer within 3 s"),
        ("exits", ExtensionStoppedError, "exited with status 3"),
        ("crashes", ExtensionStoppedError, "segmentation fault"),
        ("asks_unendingly", ExtensionStoppedError, "more than 200 requests in one call"),
    ],
)
async def test_the_extensions_failure_is_clear_on_record_and_over(
    host: Host, function: str, kind: type[HostError], says: str
) -> None:
    with pytest.raises(kind, match=says) as raised:
        await call(host, function)
    intent, outcome = await last_rows(host, 2)
    assert raised.value.call_id == intent.call_id == outcome.call_id
    assert outcome.content["details"]["outcome"] == raised.value.code
    assert (await call(host, "double", value=2)).result.data == {"double": 4}, "the next call works"


async def test_a_receipt_is_the_hosts_word(host: Host) -> None:
    answer = await call(host, "forges_a_receipt")
    assert answer.result.action_receipt == str(answer.receipt)


async def test_a_code_of_the_hosts_in_the_extensions_mouth_stays_the_extensions_mistake(host: Host) -> None:
    with pytest.raises(ExtensionRaisedError, match="pay first"):
        await call(host, "forges_a_code")


async def test_a_refusal_of_the_hosts_reaches_the_caller_as_itself(host: Host) -> None:
    with pytest.raises(UnavailableError, match="no platform model is set"):
        await call(host, "asks", text="hi")
    caught = await call(host, "swallows_a_refusal", text="hi")
    assert caught.result.data == {"caught": "upstream.unavailable", "status": 503}


async def test_progress_reaches_the_caller(host: Host) -> None:
    heard: list[tuple[float, str]] = []
    await host.rooms.kernel.dispatch(
        ADA, Call("probe", "reports", {}), progress=lambda percent, message: heard.append((percent, message))
    )
    assert heard == [(10, "begun"), (100, "more than done")]


async def test_output_is_bounded_and_does_not_stop_the_call(host: Host) -> None:
    assert (await call(host, "prints", value=2_000)).result.status == "success"


async def test_arguments_over_the_frame_limit_are_refused(host: Host) -> None:
    with pytest.raises(TooLargeError, match="arguments are too large"):
        await call(host, "asks", text="x" * (10 << 20))
    assert (await last_rows(host, 1))[0].content["details"]["outcome"] == "request.too_large"
    assert (await call(host, "double", value=3)).result.data == {"double": 6}


async def test_an_isolate_is_kept_for_its_principal_and_never_lent_to_another(host: Host) -> None:
    async def calls_seen(principal: Principal) -> object:
        data = (await call(host, "whoami", principal)).result.data
        assert isinstance(data, dict)
        return data["calls"]

    bob = Principal(TenantId("acme"), UserId("bob"))
    same_name_elsewhere = Principal(TenantId("globex"), UserId("bob"))
    assert [await calls_seen(p) for p in (bob, same_name_elsewhere, bob, same_name_elsewhere)] == [1, 1, 2, 2]


async def test_calls_of_one_principal_run_side_by_side_up_to_a_limit(host: Host) -> None:
    carol = Principal(TenantId("acme"), UserId("carol"))
    results = await asyncio.gather(
        *(call(host, "hangs", carol) for _ in range(3)),
        call(host, "hangs", carol),
        return_exceptions=True,
    )
    kinds = [type(result) for result in results]
    assert sorted(kinds, key=lambda kind: kind.__name__) == [BusyError, DeadlineError, DeadlineError, DeadlineError]


async def test_a_cancelled_call_is_on_record_and_its_isolate_is_gone(host: Host) -> None:
    task = asyncio.create_task(call(host, "hangs"))
    while (await last_rows(host, 1))[0].content["function"] != "hangs":
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    outcome = (await last_rows(host, 1))[0]
    assert (outcome.kind, outcome.content["details"]["outcome"]) == ("outcome", "cancelled")


async def test_twins_with_modules_of_one_name_do_not_disturb_each_other(host: Host) -> None:
    for letter in "ab":
        answer = await host.rooms.kernel.dispatch(ADA, Call(f"twin-{letter}", "name", {}))
        assert answer.result.data == {"name": letter}


async def test_everything_above_left_a_ledger_that_holds(host: Host) -> None:
    report = await host.rooms.ledger.verify()
    assert report.holds
    assert report.open_intents == 0
    assert report.rows > 50


async def test_a_host_that_stops_takes_no_call_and_leaves_none_open(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, extensions_dir=FIXTURES / "extensions")
    async with open_stores(settings) as stores:
        async with open_host(stores) as host:
            running = asyncio.create_task(call(host, "hangs"))
            while not await stores.ledger.latest(1):
                await asyncio.sleep(0.01)
        with pytest.raises(asyncio.CancelledError):
            await running
        with pytest.raises(BusyError, match="stopping"):
            await call(host, "double", value=1)
        intent, outcome = await stores.ledger.latest(10)
        assert (intent.kind, outcome.content["details"]["outcome"]) == ("intent", "cancelled")
        assert (await stores.ledger.verify()).open_intents == 0
