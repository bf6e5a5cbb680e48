"""Receipts and consistency proofs of a real ledger: they hold, whatever is changed in them is found, and an
implementation that is not ours agrees."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperal_host.errors import NotFoundError
from imperal_host.identity import TenantId
from imperal_host.ledger.checkpoint import Signer
from imperal_host.ledger.ledger import Ledger
from imperal_host.storage.database import Database
from imperal_host.verify.merkle import leaf_hash, root_from_path
from imperal_host.verify.note import NotProvenError, open_checkpoint
from imperal_host.verify.receipt import unpacked, verify_receipt
from imperal_host.verify.record import Head
from imperal_host.verify.rows import canonical
from tests.conftest import ROOT
from tests.host.conftest import SIGNER, FixedClock, event

ACME = TenantId("acme")
GO_PATH = Path("/usr/share/gocode")  # where Debian puts them: its packages golang-go, golang-golang-x-mod-dev
GO_PACKAGES = next(GO_PATH.glob("src/*/x/mod/sumdb"), None)
ACCEPTED = ROOT / "tests" / "vectors" / "accepted_by_go.json"
GO = shutil.which("go")
ROWS = 300  # over one kept level


@pytest.fixture(scope="module")
async def ledger(tmp_path_factory: pytest.TempPathFactory) -> Any:
    database = Database.open(tmp_path_factory.mktemp("receipts") / "host.sqlite3")
    ledger = Ledger(database, FixedClock(), SIGNER)
    for number in range(ROWS):
        await ledger.append(event("intent", f"a{number}", tenant="acme" if number % 7 else "globex"))
    yield ledger
    database.close()


async def receipt_of(ledger: Ledger, index: int) -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads((await ledger.receipt(ACME, index)).to_json())
    return content


async def test_each_row_has_a_receipt_that_holds(ledger: Ledger) -> None:
    for index in range(0, ROWS * 6 // 7 - 1, 5):
        text = (await ledger.receipt(ACME, index)).to_json()
        proven = verify_receipt(text, SIGNER.key)
        assert (proven.row["tenant"], proven.row["index"]) == ("acme", index)
        with pytest.raises(NotProvenError, match="not signed by"):
            verify_receipt(text, Signer.generate().key)
    with pytest.raises(NotFoundError):
        await ledger.receipt(ACME, ROWS)


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "an amount": lambda r: r["row"].update(cost_nano_usd=1),
    "another member": lambda r: r["row"].update(more=1),
    "the index": lambda r: r["row"].update(index=r["row"]["index"] - 1),
    "the tenant": lambda r: r["row"].update(tenant="globex"),
    "the size": lambda r: r.update(tree_size=r["tree_size"] + 1),
    "a negative size": lambda r: r.update(tree_size=-1),
    "the head's index": lambda r: r.update(heads_index=r["heads_index"] - 1),
    "the path": lambda r: r.update(path=r["heads_path"]),
    "no path": lambda r: r.update(path=""),
    "half a hash": lambda r: r.update(path=r["path"][:40]),
    "no base64": lambda r: r.update(heads_path="?"),
    "the format": lambda r: r.update(format="other"),
    "a float": lambda r: r["row"].update(index=1.5),
    "no checkpoint": lambda r: r.pop("checkpoint"),
    "the checkpoint": lambda r: r.update(checkpoint=SIGNER.checkpoint(7, bytes(32))),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_changed_receipt_proves_nothing(ledger: Ledger, change: Callable[[dict[str, Any]], object]) -> None:
    receipt = await receipt_of(ledger, 77)
    change(receipt)
    with pytest.raises(NotProvenError):
        verify_receipt(orjson.dumps(receipt), SIGNER.key)


@given(
    st.binary(max_size=200) | st.recursive(st.none() | st.integers(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_what_is_no_receipt_proves_nothing(text: bytes) -> None:
    with pytest.raises(NotProvenError):
        verify_receipt(text, SIGNER.key)


@given(data=st.data())
async def test_any_changed_letter_is_found(ledger: Ledger, data: st.DataObject) -> None:
    text = (await ledger.receipt(ACME, 200)).to_json()
    at = data.draw(st.integers(0, len(text) - 1))
    changed = (
        text[:at]
        + data.draw(st.binary(min_size=1, max_size=1).filter(lambda b: b != text[at : at + 1]))
        + text[at + 1 :]
    )
    try:
        proven = verify_receipt(changed, SIGNER.key)
    except NotProvenError:
        return
    assert canonical(proven.row) == canonical(orjson.loads(text)["row"]), "another spelling of the same receipt"


async def asked_of_go(ledger: Ledger) -> dict[str, Any]:
    receipt = await receipt_of(ledger, 222)
    row = canonical(receipt["row"])
    newest = open_checkpoint(receipt["checkpoint"], SIGNER.key)
    old = open_checkpoint((await receipt_of(ledger, 60))["checkpoint"], SIGNER.key)
    root = root_from_path(222, receipt["tree_size"], leaf_hash(row), unpacked(receipt["path"]))
    assert root is not None

    def text(raw: bytes) -> str:
        return base64.b64encode(raw).decode()

    return {
        "Key": str(SIGNER.key),
        "Row": text(row),
        "Index": 222,
        "TreeSize": receipt["tree_size"],
        "Path": [text(step) for step in unpacked(receipt["path"])],
        "Root": text(root),
        "Head": text(Head("acme", receipt["tree_size"], root).body),
        "HeadsIndex": receipt["heads_index"],
        "HeadsSize": newest.size,
        "HeadsPath": [text(step) for step in unpacked(receipt["heads_path"])],
        "HeadsRoot": text(newest.root),
        "Checkpoint": receipt["checkpoint"],
        "OldSize": old.size,
        "OldRoot": text(old.root),
        "Consistency": [text(step) for step in await ledger.consistency(old.size, newest.size)],
    }


async def test_the_proofs_are_those_that_the_packages_of_go_have_accepted(ledger: Ledger) -> None:
    assert await asked_of_go(ledger) == json.loads(ACCEPTED.read_text())


async def test_the_packages_of_go_agree_where_they_are(ledger: Ledger, tmp_path: Path) -> None:
    """Where Go or its packages are missing, what they have accepted is all there is (the test above)."""
    if GO is None or GO_PACKAGES is None:
        return
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GO111MODULE": "off", "GOPATH": str(GO_PATH)}
    environment["GOCACHE"] = str(tmp_path / "cache")
    program = tmp_path / "check"
    source = tmp_path / "main.go"
    template = Path(__file__).with_name("check_with_go.txt").read_text()
    source.write_text(template.replace("SUMDB", str(GO_PACKAGES.relative_to(GO_PATH / "src"))))
    subprocess.run([GO, "build", "-o", program, source], env=environment, cwd=tmp_path, check=True, timeout=300)
    question = await asked_of_go(ledger)

    def answer(**changes: object) -> subprocess.CompletedProcess[str]:
        text = json.dumps({**question, **changes})
        return subprocess.run([program], input=text, capture_output=True, text=True, timeout=60, check=False)

    assert question["Checkpoint"].startswith(answer().stdout), answer()
    assert answer().returncode == 0
    for changed in (
        {"Index": 221},
        {"HeadsIndex": 3},
        {"OldRoot": question["Root"]},
        {"Key": str(Signer.generate().key)},
    ):
        assert answer(**changed).returncode == 1
