"""What there is to steal, in a temporary place: nothing of the operator's own is touched."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from imperal_host.gateway.binding import BindingDraft, owner_of
from imperal_host.gateway.store import Bindings
from imperal_host.identity import Principal, TenantId, UserId
from imperal_host.prove.upstream import listen as listen_as_a_model

EXTENSIONS_DIR = Path(__file__).with_name("hostile")
HOSTILE = Principal(TenantId("hostile"), UserId("mallory"))
VICTIM = Principal(TenantId("canary"), UserId("ada"))
KEY_PREFIX = "sk-prove-"
_VARIABLE = "IMPERAL_PROVE_CANARY"
_CALL_SECONDS_MAX = 4.0
_LAUNCH_SECONDS_MAX = 8.0


@dataclass(frozen=True, slots=True)
class Secrets:
    file: str = field(default_factory=lambda: f"canary-file-{secrets.token_hex(16)}")
    variable: str = field(default_factory=lambda: f"canary-variable-{secrets.token_hex(16)}")
    words: str = field(default_factory=lambda: f"canary-words-{secrets.token_hex(16)}")
    hostile_key: str = field(default_factory=lambda: f"{KEY_PREFIX}{secrets.token_hex(24)}")
    victim_key: str = field(default_factory=lambda: f"{KEY_PREFIX}{secrets.token_hex(24)}")

    def all(self) -> frozenset[str]:
        return frozenset({self.file, self.variable, self.words, self.hostile_key, self.victim_key})


@dataclass(frozen=True, slots=True)
class Stage:
    """``baits`` fills with what reached a bait: it must stay empty."""

    place: Path
    secrets: Secrets
    model_url: str
    targets: dict[str, str | int]
    baits: list[str]

    @property
    def settings(self) -> dict[str, object]:
        """What ``Settings`` must be; all else, the tier too, is the operator's."""
        return {
            "data_dir": self.place / "data",
            "kek_file": self.place / "keys" / "kek",
            "cache_dir": self.place / "cache",
            "extensions_dir": EXTENSIONS_DIR,
            "private_networks": ("127.0.0.1/32",),
            "call_seconds_max": _CALL_SECONDS_MAX,
            "launch_seconds_max": _LAUNCH_SECONDS_MAX,
            "user_budget_nano_usd": None,
            "isolate_failures_max": 1_000_000,  # the hostile end their isolates again and again
        }

    @property
    def canary_file(self) -> Path:
        return Path(str(self.targets["canary_file"]))

    async def store_keys(self, bindings: Bindings) -> None:
        for who, key in ((HOSTILE, self.secrets.hostile_key), (VICTIM, self.secrets.victim_key)):
            await bindings.put(owner_of(who), BindingDraft("openai_compatible", "m", self.model_url, api_key=key))


@asynccontextmanager
async def staged(place: Path) -> AsyncIterator[Stage]:
    """``place`` is an empty directory that the caller deletes. On leaving, nothing listens any more."""
    kept = Secrets()
    baits: list[str] = []
    place.chmod(0o755)  # so that not its permissions keep the secrets below it, but the sandbox
    canary_file = place / "canary"
    canary_file.write_text(kept.file)
    canary_file.chmod(0o644)
    async with _bait_port(baits) as port, _bait_socket(baits, place / "bait") as file:
        abstract = f"imperal-prove-{secrets.token_hex(8)}"
        async with (
            _bait_socket(baits, f"\0{abstract}"),
            listen_as_a_model({kept.hostile_key: "hostile", kept.victim_key: "canary"}, port) as model_url,
        ):
            with _variable(kept.variable):
                targets = _targets(place) | {"port": port, "abstract": abstract, "socket_file": str(file)}
                yield Stage(place, kept, model_url, targets, baits)


def _targets(place: Path) -> dict[str, str | int]:
    pid = os.getpid()
    return {
        "database": str(place / "data" / "host.sqlite3"),
        "kek": str(place / "keys" / "kek"),
        "canary_file": str(place / "canary"),
        "host_code": str(Path(__file__)),
        "other_code": str(EXTENSIONS_DIR / "at_import" / "main.py"),
        "disk": next((str(path) for path in sorted(Path("/dev").iterdir()) if path.is_block_device()), "/dev/sda"),
        "host_pid": pid,
        "host_environ": f"/proc/{pid}/environ",
        "host_mem": f"/proc/{pid}/mem",
        "through_proc": f"/proc/1/root{place / 'canary'}",
        "variable": _VARIABLE,
        "key_prefix": KEY_PREFIX,
        "victim": VICTIM.user,
        "victim_tenant": VICTIM.tenant,
    }


@contextmanager
def _variable(value: str) -> Iterator[None]:
    os.environ[_VARIABLE] = value
    try:
        yield
    finally:
        del os.environ[_VARIABLE]


@asynccontextmanager
async def _bait_port(baits: list[str]) -> AsyncIterator[int]:
    """A port on loopback that takes a note of whoever connects."""

    def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        baits.append("somebody connected to a port of the host")
        writer.close()

    async with await asyncio.start_server(note, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def _bait_socket(baits: list[str], name: Path | str) -> AsyncIterator[Path | str]:
    """A datagram socket that everybody may write to, and that takes a note of what comes."""

    class Note(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, address: object) -> None:
            baits.append(f"a socket of the host received {data[:50]!r}")

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bait:
        bait.bind(str(name))
        if isinstance(name, Path):
            name.chmod(0o777)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Note, sock=bait)
        try:
            yield name
        finally:
            transport.close()
            await asyncio.sleep(0)
