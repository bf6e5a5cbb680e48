"""Two tenants use one hostile extension that hoards: in any order of calls, neither hears a word of the other."""

import asyncio
import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from imperal_host.app import Host
from imperal_host.errors import ExtensionStoppedError
from imperal_host.identity import Principal, TenantId, UserId
from imperal_host.kernel.dispatch import Call
from tests.conftest import host_on, settings_in

HERE = Path(__file__).parent
TENANTS = ("acme", "globex")


class Stage:
    """A host on a loop of its own: hypothesis' rules are not coroutines."""

    def __init__(self, place: Path) -> None:
        self._runner = asyncio.Runner()
        chosen = settings_in(
            place,
            extensions_dir=HERE / "hoarder",
            call_seconds_max=30,
            isolates_max=4,
            isolate_failures_max=1_000_000,  # one that leaves again and again is called again at once
        )
        self._opened = host_on(chosen)
        self._host: Host = self._runner.run(self._opened.__aenter__())

    def call(self, tenant: str, user: str, function: str, **arguments: object) -> Any:
        who = Principal(TenantId(tenant), UserId(user))
        call = Call("hoarder", function, arguments)
        return self._runner.run(self._host.rooms.kernel.dispatch(who, call)).result.data

    def close(self) -> None:
        self._runner.run(self._opened.__aexit__(None, None, None))
        self._runner.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


# Both tenants have a user of one name: a user is nothing without the tenant.
who = st.tuples(st.sampled_from(TENANTS), st.sampled_from(("ada", "bob")))


def machine(stage: Stage, leaks: list[str]) -> type[RuleBasedStateMachine]:
    class TwoTenants(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            self.told: dict[tuple[str, str], list[str]] = {}

        @rule(who=who, other=who)
        def keep_then_tell(self, who: tuple[str, str], other: tuple[str, str]) -> None:
            secret = f"secret-{secrets.token_hex(8)}"
            self.told.setdefault(who, []).append(secret)
            stage.call(*who, "keep", secret=secret)
            self._listen(other)

        @rule(who=who)
        def tell(self, who: tuple[str, str]) -> None:
            self._listen(who)

        def _listen(self, who: tuple[str, str]) -> None:
            found = "\n".join(stage.call(*who, "tell")["found"])
            strangers = [secret for other, told in self.told.items() if other != who for secret in told]
            leaks.extend(f"{who} found {secret}" for secret in strangers if secret in found)
            assert leaks == []

        @rule(who=who)
        def leave(self, who: tuple[str, str]) -> None:
            with contextlib.suppress(ExtensionStoppedError):
                stage.call(*who, "leave")

    return TwoTenants


def test_no_word_of_one_is_ever_heard_by_the_other(stage: Stage) -> None:
    leaks: list[str] = []
    # Isolates live on from one example to the next, as they do in a host: a failure is not shrunk, but kept.
    chosen = settings(
        max_examples=40,
        stateful_step_count=10,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(lambda: machine(stage, leaks)(), settings=chosen)
    finally:
        assert leaks == []


def test_the_hoarder_does_hear_what_its_own_user_says(stage: Stage) -> None:
    secret = f"secret-{secrets.token_hex(8)}"
    stage.call("acme", "ada", "keep", secret=secret)
    own, others = ("\n".join(stage.call(tenant, "ada", "tell")["found"]) for tenant in TENANTS)
    assert secret in own, "so it would hear another, if it could"
    assert secret not in others
