"""A name server on loopback that answers what it is told to, each time anew, and one who asks it: real packets."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address

from imperal_host.gateway.addresses import Address

_A, _AAAA = 1, 28


class NameServer:
    """``answers`` of each name, one list a question; the last again and again. Times to live are 0."""

    def __init__(self, answers: dict[str, list[list[str]]]) -> None:
        self.answers = answers
        self.questions: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.place = self._socket.getsockname()

    def serve(self) -> None:
        while True:
            query, asker = self._socket.recvfrom(512)
            if query == b"stop":
                return
            labels, at = [], 12
            while length := query[at]:
                labels.append(query[at + 1 : at + 1 + length].decode())
                at += 1 + length
            name, question = ".".join(labels), query[12 : at + 5]
            self.questions.append(name)
            script = self.answers.get(name, [[]])
            found = [ip_address(each) for each in (script.pop(0) if len(script) > 1 else script[0])]
            kind = _A if question[-3] == _A else _AAAA
            records = [_record(address) for address in found if (kind == _A) == isinstance(address, IPv4Address)]
            head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, len(records), 0, 0)
            self._socket.sendto(head + question + b"".join(records), asker)

    def close(self) -> None:
        self._socket.sendto(b"stop", self.place)

    def lookup(self, host: str) -> list[Address]:
        """Asks for an A record, and reads the answer."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(10)
            labels = b"".join(bytes([len(label)]) + label.encode() for label in host.rstrip(".").split("."))
            question = labels + b"\0" + struct.pack(">HH", _A, 1)
            asker.sendto(b"\x12\x34" + struct.pack(">HHHHH", 0x0100, 1, 0, 0, 0) + question, self.place)
            reply = asker.recv(512)
        count, at, found = struct.unpack(">H", reply[6:8])[0], 12 + len(question), []
        for _ in range(count):
            length = struct.unpack(">H", reply[at + 10 : at + 12])[0]
            found.append(ip_address(reply[at + 12 : at + 12 + length]))
            at += 12 + length
        return found


def _record(address: IPv4Address | IPv6Address) -> bytes:
    kind = _A if isinstance(address, IPv4Address) else _AAAA
    return struct.pack(">HHHIH", 0xC00C, kind, 1, 0, len(address.packed)) + address.packed


@contextmanager
def name_server(answers: dict[str, list[list[str]]]) -> Iterator[NameServer]:
    server = NameServer(answers)
    serving = threading.Thread(target=server.serve)
    serving.start()
    try:
        yield server
    finally:
        server.close()
        serving.join(10)
        server._socket.close()
