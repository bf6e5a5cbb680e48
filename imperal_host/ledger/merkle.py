"""What the writer keeps of a tree, and which of it a proof is made of (RFC 9162, section 2.1). Pure.

Kept are the leaves and, of complete subtrees, the roots at every eighth level: a tile of 256 hashes is a row of
neighbours at one kept level, and its root is one hash of the next. All between is computed when a proof asks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imperal_host.verify.merkle import EMPTY_ROOT, Range, node_hash

TILE_LEVELS = 8
# (level, first, count) -> the roots of ``count`` complete subtrees of 2**level leaves; level is a multiple of 8
Stored = Callable[[int, int, int], Sequence[bytes]]
Span = tuple[int, int]  # leaves from the first on, to before the second


@dataclass(frozen=True, slots=True)
class Kept:
    """A subtree's root that is to be stored: it covers the leaves from ``index << level`` on."""

    level: int
    index: int
    hash: bytes


def append(tree: Range, leaf: bytes) -> list[Kept]:
    """Append one leaf; gives what it has completed at kept levels above the leaves. O(log n), reads nothing."""
    kept: list[Kept] = []
    index, level, root = tree.size, 0, leaf
    while index & 1:
        root = node_hash(tree.peaks.pop(), root)
        index >>= 1
        level += 1
        if level % TILE_LEVELS == 0:
            kept.append(Kept(level, index, root))
    tree.peaks.append(root)
    tree.size += 1
    return kept


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The subtrees beside the way from leaf ``index`` to the root, leaf to root. Needs ``index < size``."""
    spans: list[Span] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low = middle
    return spans[::-1]


def consistency_spans(old_size: int, new_size: int) -> list[Span]:
    """The subtrees that show that the tree of ``old_size`` leaves is the beginning of that of ``new_size``."""
    if old_size in (0, new_size):
        return []
    spans: list[Span] = []
    low, high, is_whole = 0, new_size, True
    while old_size != high:
        middle = low + _split(high - low)
        if old_size <= middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low, is_whole = middle, False
    return ([] if is_whole else [(low, high)]) + spans[::-1]


def root_of(span: Span, stored: Stored) -> bytes:
    """The root over a span that begins where a subtree of its size may begin."""
    low, high = span
    if low == high:
        return EMPTY_ROOT
    peaks: list[bytes] = []
    while low < high:
        level = (high - low).bit_length() - 1
        peaks.append(_subtree(level, low >> level, stored))
        low += 1 << level
    return Range(0, peaks).root


def _subtree(level: int, index: int, stored: Stored) -> bytes:
    kept = level - level % TILE_LEVELS
    hashes = list(stored(kept, index << (level - kept), 1 << (level - kept)))
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def _split(count: int) -> int:
    """The largest power of two below ``count``."""
    return 1 << ((count - 1).bit_length() - 1)
