"""Sockets of every family, and ways to send without one of them."""

import errno
import os
import socket
import struct

from registry import Targets, act

from imperal_sdk import Context

_FAMILIES = {
    "AF_UNIX": (1, 1, 0), "AF_INET": (2, 1, 0), "AF_INET, UDP": (2, 2, 0), "AF_INET, raw": (2, 3, 1),
    "AF_INET, ping": (2, 2, 1), "AF_AX25": (3, 2, 0), "AF_X25": (9, 5, 0), "AF_INET6": (10, 1, 0),
    "AF_KEY": (15, 3, 2), "AF_NETLINK": (16, 3, 0), "AF_PACKET": (17, 3, 0), "AF_RDS": (21, 5, 0),
    "AF_CAN": (29, 3, 1), "AF_TIPC": (30, 1, 0), "AF_BLUETOOTH": (31, 3, 1), "AF_ALG": (38, 5, 0),
    "AF_NFC": (39, 5, 0), "AF_VSOCK": (40, 1, 0), "AF_KCM": (41, 5, 0), "AF_QIPCRTR": (42, 2, 0),
    "AF_SMC": (43, 1, 0), "AF_XDP": (44, 3, 0), "AF_INET, MPTCP": (2, 1, 262),
}  # fmt: skip


def _open(family: int, kind: int, protocol: int) -> str:
    with socket.socket(family, kind, protocol) as opened:
        return f"got {opened}"


for name, how in _FAMILIES.items():
    act(f"open a socket: {name}")(lambda t, ctx, how=how: _open(*how))


@act("connect to a port of the host")
def connect(t: Targets, ctx: Context) -> str:
    with socket.create_connection(("127.0.0.1", int(t["port"])), 1) as opened:
        return f"connected: {opened}"


@act("send with TCP Fast Open to a port of the host")
def fast_open(t: Targets, ctx: Context) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as opened:
        sent = opened.sendto(b"x", socket.MSG_FASTOPEN, ("127.0.0.1", int(t["port"])))
        return f"sent {sent}"


@act("listen on a port")
def listen(t: Targets, ctx: Context) -> str:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return f"listens: {opened}"


@act("connect to an abstract socket of the host")
def connect_abstract(t: Targets, ctx: Context) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        opened.connect("\0" + str(t["abstract"]))
        return "connected"


@act("connect to a socket file of the host")
def connect_file(t: Targets, ctx: Context) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        opened.connect(str(t["socket_file"]))
        return "connected"


def _through_a_pair(address: str | bytes) -> str:
    """One end of a datagram pair can send to any address, and needs no socket of its own for it."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        return f"sent {near.sendto(b'hostile', address)}"


@act("send to an abstract socket of the host from a pair")
def pair_abstract(t: Targets, ctx: Context) -> str:
    return _through_a_pair("\0" + str(t["abstract"]))


@act("send to a socket file of the host from a pair")
def pair_file(t: Targets, ctx: Context) -> str:
    return _through_a_pair(str(t["socket_file"]))


@act("connect one end of a pair to the host")
def connect_pair(t: Targets, ctx: Context) -> str:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        near.connect("\0" + str(t["abstract"]))
        return "connected"


@act("bind one end of a pair to a name")
def bind_pair(t: Targets, ctx: Context) -> str:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with near, far:
        near.bind("\0hostile")
        return "others can find it"


for name, family in {"AF_INET": 2, "AF_NETLINK": 16, "AF_TIPC": 30, "AF_BLUETOOTH": 31}.items():
    act(f"open a pair of sockets: {name}")(
        lambda t, ctx, family=family: f"got {socket.socketpair(family, socket.SOCK_STREAM)}"
    )


@act("learn the host's process from the channel")
def peer_credentials(t: Targets, ctx: Context) -> str:
    with socket.socket(fileno=os.dup(3)) as channel:
        pid, uid, gid = struct.unpack("iII", channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if pid == 0:
        raise OSError(errno.ESRCH, f"the peer is process 0, user {uid}, group {gid}")
    return f"the host is process {pid}, user {uid}, group {gid}"


@act("change an option of the channel")
def channel_option(t: Targets, ctx: Context) -> str:
    with socket.socket(fileno=os.dup(3)) as channel:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return "changed"


@act("control: a pair of sockets of its own")
def own_pair(t: Targets, ctx: Context) -> str:
    near, far = socket.socketpair()
    with near, far:
        near.send(b"hello")
        return f"received {far.recv(5)!r}"
