"""A planted key and the KEK, looked for in every byte that the host writes and that its isolates hold."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from imperal_host import log
from tests.flow.conftest import OWN_KEY, OWN_MODEL, World

CHUNK_BYTES = 4 << 20
ZYGOTE = b"imperal_sdk.worker.zygote"


def spellings(key: bytes) -> set[bytes]:
    """Plain, hexadecimal, and the middle of base64 at each of its three alignments, both alphabets."""
    found = {key, key.hex().encode(), key.hex().upper().encode()}
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + key)[4 if shift else 0 :]
        middle = encoded.rstrip(b"=")[:-2]
        found |= {middle, middle.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def hits(data: bytes, wanted: set[bytes]) -> set[bytes]:
    return {spelling for spelling in wanted if spelling in data}


def descendants() -> set[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, fresh = set(), {os.getpid()}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh}
        found |= fresh
    return found


def sandbox_processes() -> list[int]:
    """Zygotes and isolates: the user's own model server has the key by right."""
    return [pid for pid in descendants() if ZYGOTE in Path(f"/proc/{pid}/cmdline").read_bytes()]


def memory(pid: int) -> Iterator[bytes]:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            begin, end = (int(part, 16) for part in span.split("-"))
            if not rights.startswith("r") or line.endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            for at in range(begin, end, CHUNK_BYTES):
                try:
                    file.seek(at)
                    yield file.read(min(CHUNK_BYTES + 256, end - at))
                except OSError:  # not mapped any more, or a page beyond a file's end
                    break


async def test_a_planted_key_is_nowhere_but_sealed(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    kek = bytes.fromhex((world.place / "keys" / "kek").read_text())
    wanted = spellings(OWN_KEY.encode()) | spellings(kek)
    log.configure("debug")
    try:
        draft = {"provider": "anthropic", "model": OWN_MODEL, "base_url": world.own_url}
        answers = [await world.ada.put("/v1/me/llm", json={**draft, "api_key": OWN_KEY})]
        arguments = {"arguments": {"text": "The cat sat on the mat.", "max_words": 10}}
        for _ in range(3):
            answers.append(await world.ada.post("/v1/extensions/summarizer/functions/summarize", json=arguments))
        assert [answer.status_code for answer in answers] == [200] * 4, answers[-1].text
        wrong = {**draft, "api_key": OWN_KEY, "base_url": "not an address"}
        answers.append(await world.ada.put("/v1/me/llm", json=wrong))
        answers += [await world.ada.get(path) for path in ("/v1/me/llm", "/v1/me/ledger")]
    finally:
        log.configure("error")
    for answer in answers:
        assert hits(answer.content + repr(answer.headers).encode(), wanted) == set(), answer.url
    assert hits("".join(capfd.readouterr()).encode(), wanted) == set()

    written = [path for path in world.place.rglob("*") if path.is_file() and path.parent.name != "keys"]
    assert {"host.sqlite3", "host.sqlite3-wal"} <= {path.name for path in written}
    assert [path for path in written if hits(path.read_bytes(), wanted)] == []

    if os.geteuid() != 0:  # another process's memory is root's to read
        return
    pids = sandbox_processes()
    assert len(pids) >= 2, "a zygote and an isolate"
    for pid in pids:
        seen = False
        for part in memory(pid):
            assert hits(part, wanted) == set(), pid
            seen = seen or ZYGOTE in part
        assert seen, "its memory was read"


def test_the_search_finds_each_spelling() -> None:
    key = OWN_KEY.encode()
    for noise in (b"", b"x", b"xy", b"xyz"):
        for text in (noise + key, base64.b64encode(noise + key + b"zz"), key.hex().encode()):
            assert hits(b"..." + text + b"...", spellings(key))
