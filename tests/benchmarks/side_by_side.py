"""All peers, in the order in which they are shown."""

from tests.benchmarks.peers import Peer, bubblewrap, dify_stdio, in_process, mcp_stdio, plain_child

PEERS: tuple[Peer, ...] = (mcp_stdio.PEER, dify_stdio.PEER, bubblewrap.PEER, plain_child.PEER, in_process.PEER)
PROCESSES: tuple[Peer, ...] = tuple(peer for peer in PEERS if peer.is_process)
