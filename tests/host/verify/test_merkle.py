"""Trees against RFC 9162: published vectors, the definition itself, and proofs that prove nothing else."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperal_host.ledger.merkle import append, consistency_spans, inclusion_spans, root_of
from imperal_host.verify.merkle import EMPTY_ROOT, Range, includes, is_consistent, leaf_hash, node_hash
from tests.conftest import ROOT

VECTORS = json.loads((ROOT / "tests" / "vectors" / "merkle.json").read_text())
LEAVES = [leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["leaves"]]
ROOTS = [EMPTY_ROOT, *map(bytes.fromhex, VECTORS["roots"])]
SIZES = st.integers(1, 1_100)  # over two kept levels and a part


def path_of(vector: dict[str, Any]) -> list[bytes]:
    return [bytes.fromhex(step) for step in vector["path"]]


class Kept:
    """What the writer keeps of a tree of numbered leaves, in memory."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.tree = Range()
        self.levels: dict[int, list[bytes]] = {0: list(leaves)}
        for leaf in leaves:
            for kept in append(self.tree, leaf):
                of_level = self.levels.setdefault(kept.level, [])
                assert kept.index == len(of_level)
                of_level.append(kept.hash)

    def __call__(self, level: int, first: int, count: int) -> list[bytes]:
        found = self.levels[level][first : first + count]
        assert len(found) == count
        return found


def numbered(count: int) -> list[bytes]:
    return [leaf_hash(b"%d" % number) for number in range(count)]


def defined_root(leaves: Sequence[bytes]) -> bytes:
    """Section 2.1.1, word for word."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else EMPTY_ROOT
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(defined_root(leaves[:split]), defined_root(leaves[split:]))


@pytest.mark.parametrize("size", range(len(ROOTS)))
def test_the_published_roots(size: int) -> None:
    kept = Kept(LEAVES[:size])
    assert kept.tree.root == root_of((0, size), kept) == ROOTS[size]


@pytest.mark.parametrize("vector", VECTORS["inclusion"])
def test_the_published_inclusion_proofs(vector: dict[str, Any]) -> None:
    index, size = vector["index"], vector["size"]
    kept = Kept(LEAVES[:size])
    assert [root_of(span, kept) for span in inclusion_spans(index, size)] == path_of(vector)
    assert includes(index, size, LEAVES[index], path_of(vector), ROOTS[size])


@pytest.mark.parametrize("vector", VECTORS["consistency"])
def test_the_published_consistency_proofs(vector: dict[str, Any]) -> None:
    old, new = vector["from"], vector["to"]
    kept = Kept(LEAVES[:new])
    assert [root_of(span, kept) for span in consistency_spans(old, new)] == path_of(vector)
    assert is_consistent(old, new, ROOTS[old], ROOTS[new], path_of(vector))


@given(size=SIZES)
def test_appending_gives_the_root_that_is_defined(size: int) -> None:
    kept = Kept(numbered(size))
    assert kept.tree.root == root_of((0, size), kept) == defined_root(numbered(size))


@given(size=SIZES, data=st.data())
def test_a_proof_proves_its_leaf_at_its_place_and_nothing_else(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    kept = Kept(numbered(size))
    path, leaf, root = (
        [root_of(span, kept) for span in inclusion_spans(index, size)],
        numbered(size)[index],
        kept.tree.root,
    )
    assert includes(index, size, leaf, path, root)
    other = data.draw(st.integers(-1, 2 * size).filter(lambda n: n != index))
    assert not includes(other, size, leaf, path, root)
    assert not includes(index, size, leaf_hash(b"other"), path, root)
    assert not includes(index, size, leaf, [*path, root], root)
    assert not includes(index, size, leaf, [root, *path], root)
    if path:
        assert not includes(index, size, leaf, path[:-1], root)
        at = data.draw(st.integers(0, len(path) - 1))
        assert not includes(index, size, leaf, [*path[:at], bytes(32), *path[at + 1 :]], root)


@given(new=SIZES, data=st.data())
def test_a_beginning_is_proven_and_another_one_is_not(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(0, new))
    kept = Kept(numbered(new))
    path = [root_of(span, kept) for span in consistency_spans(old, new)]
    before, after = root_of((0, old), kept), kept.tree.root
    assert is_consistent(old, new, before, after, path)
    assert not is_consistent(old, new, leaf_hash(b"other"), after, path)
    assert not is_consistent(old, new, before, after, [*path, bytes(32)])
    assert not is_consistent(new + 1, new, before, after, path)
    if 0 < old < new:
        assert not is_consistent(old, new, before, leaf_hash(b"other"), path)
        assert not is_consistent(old, new, before, after, path[1:])
        assert not is_consistent(old, new, before, after, [])
        other = data.draw(st.integers(1, new - 1).filter(lambda n: n != old))
        assert not is_consistent(other, new, before, after, path)
