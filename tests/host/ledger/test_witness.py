"""A witness keeps the newest checkpoint where the ledger's disk cannot take it back."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from imperal_host.errors import IntegrityError, SetupError
from imperal_host.ledger.checkpoint import Signer
from imperal_host.ledger.ledger import Ledger
from imperal_host.ledger.witness import FileWitness, HttpWitness, Witness
from imperal_host.storage.database import Database
from tests.host.conftest import SIGNER, FixedClock, event


class Keeper(BaseHTTPRequestHandler):
    note: bytes | None = None

    def do_PUT(self) -> None:
        Keeper.note = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(404 if Keeper.note is None else 200)
        self.end_headers()
        self.wfile.write(Keeper.note or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Keeper.note = None
    with ThreadingHTTPServer(("127.0.0.1", 0), Keeper) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/checkpoint"
        server.shutdown()
        thread.join()


@pytest.fixture(params=["file", "http"])
def witness(request: pytest.FixtureRequest, address: str, tmp_path: Path, data_dir: Path) -> Witness:
    return FileWitness(tmp_path / "kept", data_dir) if request.param == "file" else HttpWitness(address)


async def test_what_was_signed_last_is_there_when_the_host_has_stopped(
    database: Database, clock: FixedClock, witness: Witness
) -> None:
    ledger = Ledger(database, clock, SIGNER, witness)
    assert witness.newest() is None
    await ledger.begin()
    await ledger.append(event("intent", "a"))
    await ledger.aclose()
    assert witness.newest() == await ledger.checkpoint()
    assert (await ledger.verify()).is_witnessed


async def test_an_older_or_another_ledger_is_not_opened(
    database: Database, clock: FixedClock, witness: Witness, tmp_path: Path
) -> None:
    ledger = Ledger(database, clock, SIGNER, witness)
    for call in "abc":
        await ledger.append(event("intent", call))
    await ledger.aclose()

    for calls, said in (("ab", "put back to an older state"), ("abx", "it was rebuilt"), ("abxd", "it was rebuilt")):
        other_database = Database.open(tmp_path / calls / "host.sqlite3")
        for call in calls:
            await Ledger(other_database, clock, SIGNER).append(event("intent", call))
        other = Ledger(other_database, clock, SIGNER, witness)
        with pytest.raises(IntegrityError, match=said):
            await other.begin()
        assert not (await other.verify()).holds
        other_database.close()


async def test_a_witness_of_another_host_is_told(database: Database, clock: FixedClock, witness: Witness) -> None:
    witness.publish(Signer.generate().checkpoint(3, bytes(32)))
    with pytest.raises(IntegrityError, match="holds no checkpoint of this ledger"):
        await Ledger(database, clock, SIGNER, witness).begin()


async def test_a_witness_that_cannot_be_reached_stops_no_row_and_no_stop(
    database: Database, clock: FixedClock, tmp_path: Path, data_dir: Path
) -> None:
    ledger = Ledger(database, clock, SIGNER, FileWitness(tmp_path / "nowhere" / "kept", data_dir))
    await ledger.append(event("intent", "a"))
    await ledger.aclose()
    assert (await ledger.verify()).holds


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host", "kept"])
def test_only_http_is_an_address(url: str) -> None:
    with pytest.raises(SetupError):
        HttpWitness(url)


def test_a_witness_beside_the_data_is_none(data_dir: Path) -> None:
    with pytest.raises(SetupError, match="another disk"):
        FileWitness(data_dir / "kept", data_dir)
