"""Which user ids isolates get."""

import itertools
import os

import pytest

from imperal_host.runtime.ids import _BASE, _COUNT, endless, ids_for
from imperal_host.runtime.interpreter import this_interpreter
from imperal_host.runtime.policy import Ids, Tier
from tests.host.conftest import run_as_nobody

ASK = """
from imperal_host.runtime.ids import ids_for
from imperal_host.runtime.interpreter import this_interpreter
from imperal_host.runtime.policy import Tier
interpreter = this_interpreter()
#---
print(*(ids_for(tier, interpreter).value for tier in Tier))
"""


@pytest.mark.parametrize("ids", list(Ids))
def test_none_is_given_twice_before_all_are_used_and_none_is_root(ids: Ids) -> None:
    base = _BASE if ids is Ids.OWN else 0
    given = list(itertools.islice(endless(ids), _COUNT - 1))
    assert set(given) == set(range(base + 1, base + _COUNT))
    numbers = endless(ids)
    rounds = list(itertools.islice(numbers, 2 * (_COUNT - 1)))
    assert rounds[: _COUNT - 1] == rounds[_COUNT - 1 :]


def test_two_hosts_begin_at_different_ids() -> None:
    assert len({next(endless(Ids.MAPPED)) for _ in range(8)}) > 1


def test_an_ordinary_user_has_none_to_give() -> None:
    done = run_as_nobody(ASK)
    assert done.stdout.split() == ["shared", "shared", "shared"], done.stderr


@pytest.mark.parametrize(("root", "tier"), [(True, Tier.NONE), (False, Tier.STRICT), (False, Tier.NO_NAMESPACES)])
def test_without_a_sandbox_or_without_root_the_id_is_the_hosts(
    monkeypatch: pytest.MonkeyPatch, root: bool, tier: Tier
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1_000)
    assert ids_for(tier, this_interpreter()) is Ids.SHARED
