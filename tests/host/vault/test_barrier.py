"""What is sealed opens under its own key and its own name, unchanged, and in no other way."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from imperal_host.errors import SealedError
from imperal_host.vault.barrier import seal, unseal

KEYS = st.binary(min_size=32, max_size=32)
NAMES = st.lists(st.text(max_size=12), max_size=4).map(tuple)
KEY = bytes(range(32))


@given(key=KEYS, plaintext=st.binary(max_size=200), name=NAMES)
def test_what_was_sealed_opens(key: bytes, plaintext: bytes, name: tuple[str, ...]) -> None:
    assert unseal(key, seal(key, plaintext, *name), *name) == plaintext


@given(plaintext=st.binary(max_size=64), at=st.integers(0), change=st.integers(1, 255))
def test_a_changed_byte_anywhere_does_not_open(plaintext: bytes, at: int, change: int) -> None:
    sealed = bytearray(seal(KEY, plaintext, "secret", "acme"))
    sealed[at % len(sealed)] ^= change
    with pytest.raises(SealedError, match="secret does not open"):
        unseal(KEY, bytes(sealed), "secret", "acme")


@given(plaintext=st.binary(max_size=64), cut=st.integers(0))
def test_bytes_that_were_cut_off_do_not_open(plaintext: bytes, cut: int) -> None:
    sealed = seal(KEY, plaintext, "secret")
    with pytest.raises(SealedError):
        unseal(KEY, sealed[: cut % len(sealed)], "secret")


@given(name=NAMES, other=NAMES)
def test_another_name_does_not_open(name: tuple[str, ...], other: tuple[str, ...]) -> None:
    assume(name != other)
    with pytest.raises(SealedError):
        unseal(KEY, seal(KEY, b"x", *name), *other)


@given(key=KEYS)
def test_another_key_does_not_open(key: bytes) -> None:
    assume(key != KEY)
    with pytest.raises(SealedError):
        unseal(key, seal(KEY, b"x", "secret"), "secret")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("abc",), ("ab", "c")),
        (("ab", ""), ("ab",)),
        (("", "ab"), ("ab", "")),
        (("a", "\x00\x00\x00\x01b"), ("a\x00\x00\x00\x01", "b")),
        (("user/ada", "1"), ("user/ad", "a1")),
    ],
)
def test_names_that_spell_the_same_when_joined_are_different_names(
    name: tuple[str, ...], other: tuple[str, ...]
) -> None:
    with pytest.raises(SealedError):
        unseal(KEY, seal(KEY, b"x", *name), *other)


def test_the_same_plaintext_never_looks_the_same_twice() -> None:
    sealed = {seal(KEY, b"sk-0123456789", "secret") for _ in range(100)}
    assert len({one[:12] for one in sealed}) == 100
    assert all(b"sk-0123456789" not in one for one in sealed)
