"""What an extension prints is logged, within bounds, and never stops it or the host."""

import asyncio
import json
import os
from collections.abc import Iterator

import pytest

from imperal_host import log
from imperal_host.runtime.output import _BYTES_MAX, _LINE_CHARACTERS_MAX, _LINES_MAX, Output
from tests.host.runtime.peer import until

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _silent_again() -> Iterator[None]:
    yield
    log.configure("error")


def opened() -> tuple[Output, int]:
    log.configure("info")  # in the test itself: the log keeps the standard error that it finds
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    return Output(ours, "notes"), theirs


def entries(capture: Capture) -> list[dict[str, str]]:
    return [json.loads(line) for line in capture.readouterr().err.splitlines()]


async def test_lines_appear_when_they_are_whole_and_the_rest_at_the_end(capsys: Capture) -> None:
    output, pipe = opened()
    os.write(pipe, b"one\n\n  \ntw")
    await asyncio.sleep(0.02)
    assert [(entry["text"], entry["extension"]) for entry in entries(capsys)] == [("one", "notes")]
    os.write(pipe, b"o\nthree")
    output.close()
    assert [entry["text"] for entry in entries(capsys)] == ["two", "three"]
    os.close(pipe)


async def test_what_was_printed_last_is_logged_though_nobody_had_read_it_yet(capsys: Capture) -> None:
    output, pipe = opened()
    os.write(pipe, b"last words")
    os.close(pipe)
    output.close()
    output.close()
    assert [entry["text"] for entry in entries(capsys)] == ["last words"]


async def test_a_pipe_that_ends_is_closed(capsys: Capture) -> None:
    output, pipe = opened()
    os.close(pipe)
    await until(lambda: output._pipe == -1)
    output.close()
    assert entries(capsys) == []


async def test_past_the_bound_it_is_read_thrown_away_and_said_once(capsys: Capture) -> None:
    output, pipe = opened()
    os.set_blocking(pipe, False)
    line, written = b"x" * 999 + b"\n", 0
    async with asyncio.timeout(10):
        while written < 4 * _BYTES_MAX:  # it never fills up: somebody reads on
            try:
                written += os.write(pipe, line)
            except BlockingIOError:
                await asyncio.sleep(0.001)
    output.close()
    os.close(pipe)
    said = entries(capsys)
    cuts = [entry for entry in said if entry["event"] == "extension.output_cut"]
    assert len(cuts) == 1
    assert sum(len(entry.get("text", "")) for entry in said) <= _BYTES_MAX


async def test_lines_are_bounded_in_length_and_number(capsys: Capture) -> None:
    output, pipe = opened()
    os.write(pipe, b"y" * 5_000 + b"\n")
    await asyncio.sleep(0.02)
    assert [len(entry["text"]) for entry in entries(capsys)] == [_LINE_CHARACTERS_MAX]
    for _ in range(3):
        os.write(pipe, b"z\n" * 500)
        await asyncio.sleep(0.02)
    output.close()
    os.close(pipe)
    assert len([entry for entry in entries(capsys) if entry.get("text") == "z"]) == _LINES_MAX - 1


async def test_bytes_that_are_no_text_are_shown_as_such(capsys: Capture) -> None:
    output, pipe = opened()
    os.write(pipe, b"\xff\xfe\x1b[31m\n")
    output.close()
    os.close(pipe)
    assert [entry["text"] for entry in entries(capsys)] == ["\ufffd\ufffd\x1b[31m"]
