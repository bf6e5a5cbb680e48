"""A Secret tells itself to ``reveal``, and to nothing else."""

import copy
import pickle
import pprint
import traceback
from collections.abc import Callable

import pytest

from imperal_host.vault.secret import Secret

KEY = "sk-proj-0123456789abcdefghijklmnop"


@pytest.mark.parametrize(
    "tell",
    [
        repr,
        str,
        "{}".format,
        "{!r:>40}".format,
        "%s".__mod__,
        ascii,
        pprint.pformat,
        lambda secret: repr([secret]),
        lambda secret: repr({"key": secret}),
        lambda secret: f"{secret}",
        lambda secret: repr(ValueError(secret)),
    ],
)
def test_no_way_of_printing_tells_it(tell: Callable[[Secret], str]) -> None:
    told = tell(Secret(KEY))
    assert "<Secret>" in told
    assert KEY[:8] not in told


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="not pickled") as refusal:
        pickle.dumps(Secret(KEY), protocol)
    assert KEY not in str(refusal.value)


def test_it_is_not_copied_and_has_no_dict() -> None:
    with pytest.raises(TypeError):
        copy.deepcopy(Secret(KEY))
    assert not hasattr(Secret(KEY), "__dict__")


def test_a_traceback_with_locals_does_not_tell_it() -> None:
    def fails(secret: Secret) -> None:
        raise RuntimeError(f"while using {secret}")

    with pytest.raises(RuntimeError) as failure:
        fails(Secret(KEY))
    told = "".join(traceback.TracebackException.from_exception(failure.value, capture_locals=True).format())
    assert "while using <Secret>" in told
    assert "secret = <Secret>" in told
    assert KEY not in told


def test_it_tells_itself_to_reveal_only() -> None:
    assert Secret(KEY).reveal() == KEY


def test_equal_values_are_not_compared_and_empty_ones_are_false() -> None:
    assert Secret(KEY) != Secret(KEY)
    assert Secret(KEY)
    assert not Secret("")


@pytest.mark.parametrize(
    ("length", "shown"),
    [(0, 0), (1, 0), (2, 0), (3, 1), (8, 2), (9, 3), (21, 7), (23, 7), (24, 8), (25, 8), (100, 8), (4_096, 8)],
)
def test_only_the_beginning_is_shown_and_never_more_than_a_third(length: int, shown: int) -> None:
    value = (KEY * 200)[:length]
    assert Secret(value).display_prefix() == value[:shown]
    assert shown * 3 <= length
