"""Over HTTP: the public key, checkpoints and proofs for anybody; receipts for those whose rows they are."""

import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from imperal_host.app import Host
from imperal_host.identity import Principal, TenantId, UserId
from imperal_host.kernel.dispatch import Call
from imperal_host.verify.command import main
from imperal_host.verify.live import verify_host
from imperal_host.verify.merkle import is_consistent
from imperal_host.verify.note import Checkpoint, NotProvenError, VerifierKey, open_checkpoint
from imperal_host.verify.receipt import unpacked, verify_receipt
from tests.conftest import FIXTURES, host_on, settings_in
from tests.host.conftest import SIGNER

ADA = Principal(TenantId("acme"), UserId("ada"))
EVE = Principal(TenantId("acme"), UserId("eve"))


@pytest.fixture(scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    place = tmp_path_factory.mktemp("proofs")
    async with host_on(settings_in(place, extensions_dir=FIXTURES / "extensions")) as host:
        yield host


async def client_of(host: Host, principal: Principal | None) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {await host.stores.tokens.create(principal)}"} if principal else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(host.asgi()), base_url="http://host", headers=headers)


async def double(host: Host, number: int) -> str:
    return (await host.rooms.kernel.dispatch(ADA, Call("probe", "double", {"value": number}))).call_id


async def test_a_user_gets_receipts_of_their_own_calls_only(host: Host) -> None:
    call = await double(host, 4)
    async with (
        await client_of(host, None) as anybody,
        await client_of(host, ADA) as ada,
        await client_of(host, EVE) as eve,
    ):
        key = VerifierKey.parse((await anybody.get("/v1/ledger/key")).json()["key"])
        outcome = verify_receipt((await ada.get(f"/v1/me/ledger/{call}/receipt")).content, key)
        intent = verify_receipt((await ada.get(f"/v1/me/ledger/{call}/receipt?kind=intent")).content, key)
        assert [(p.row["kind"], p.row["call_id"]) for p in (intent, outcome)] == [("intent", call), ("outcome", call)]
        assert outcome.row["user"] == "ada"
        for asked in (f"/v1/me/ledger/{call}/receipt?kind=correction", "/v1/me/ledger/nobodys/receipt"):
            assert (await ada.get(asked)).status_code == 404
        assert (await eve.get(f"/v1/me/ledger/{call}/receipt")).status_code == 404


async def test_an_intent_commits_to_its_arguments_and_does_not_tell_them(host: Host) -> None:
    call = await double(host, 123_456)
    intent, outcome = [row.content for row in await host.rooms.ledger.latest(2, ADA.tenant)]
    assert intent["call_id"] == call
    assert "123456" not in str(intent)
    assert "arguments_hmac" not in outcome
    signer = host.stores.ledger._signer
    assert signer is not None
    assert intent["arguments_hmac"] == signer.commitment("acme", {"value": 123_456})


async def test_one_checkpoint_goes_on_from_another(host: Host) -> None:
    await double(host, 1)
    async with await client_of(host, None) as anybody:
        key = VerifierKey.parse((await anybody.get("/v1/ledger/key")).json()["key"])
        old = open_checkpoint((await anybody.get("/v1/ledger/checkpoint")).text, key)
        await double(host, 2)
        new = open_checkpoint((await anybody.get("/v1/ledger/checkpoint")).text, key)
        assert new.size > old.size
        answer = await anybody.get("/v1/ledger/consistency", params={"from": old.size, "to": new.size})
        assert is_consistent(old.size, new.size, old.root, new.root, unpacked(answer.json()["path"]))
        beyond = await anybody.get("/v1/ledger/consistency", params={"from": old.size, "to": new.size + 1})
        assert beyond.status_code == 404
        for wrong in ("from=1", "from=a&to=2", "from=-1&to=2", "from=1&to=1" + "0" * 30):
            assert (await anybody.get(f"/v1/ledger/consistency?{wrong}")).status_code == 422


class Pretender(BaseHTTPRequestHandler):
    """Whatever the test wants a host to say."""

    says: dict[str, str] = {}

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.says[self.path.partition("?")[0]].encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def pretender() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pretender) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_host_that_goes_back_or_is_rebuilt_is_found_by_whoever_has_seen_it(pretender: str, tmp_path: Path) -> None:
    Pretender.says = {"/v1/ledger/checkpoint": SIGNER.checkpoint(3, bytes(32)), "/v1/ledger/consistency": '{"path":""}'}
    seen = tmp_path / "seen"
    assert main(["host", "--key", str(SIGNER.key), "--seen", str(seen), pretender]) == 0
    assert seen.read_text() == SIGNER.checkpoint(3, bytes(32))
    assert main(["host", "--key", str(SIGNER.key), "--seen", str(seen), pretender]) == 0
    Pretender.says["/v1/ledger/checkpoint"] = SIGNER.checkpoint(2, bytes(32))
    with pytest.raises(NotProvenError, match="was put back"):
        verify_host(pretender, SIGNER.key, Checkpoint(SIGNER.key.name, 3, bytes(32)))
    Pretender.says["/v1/ledger/checkpoint"] = SIGNER.checkpoint(5, bytes(32))
    assert main(["host", "--key", str(SIGNER.key), "--seen", str(seen), pretender]) == 1
    Pretender.says["/v1/ledger/consistency"] = "{}"
    assert main(["host", "--key", str(SIGNER.key), "--seen", str(seen), pretender]) == 1
    assert seen.read_text() == SIGNER.checkpoint(3, bytes(32)), "what does not hold is not remembered"


def test_a_host_that_cannot_be_asked_is_not_called_false(tmp_path: Path) -> None:
    assert main(["host", "--key", str(SIGNER.key), "http://127.0.0.1:9"]) == 2
    assert main(["host", "--key", str(SIGNER.key), "file:///etc/passwd"]) == 1
