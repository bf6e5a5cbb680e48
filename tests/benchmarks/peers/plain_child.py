"""A fresh unconfined Python child with JSON lines over pipes: the barest form of what most plugin hosts do."""

import sys
from contextlib import AbstractAsyncContextManager

from tests.benchmarks.peers import Call, Peer
from tests.benchmarks.peers.lines import SCRIPT, child


def opened() -> AbstractAsyncContextManager[Call]:
    return child(sys.executable, "-I", str(SCRIPT))


PEER = Peer("fresh Python child, unconfined", opened)
