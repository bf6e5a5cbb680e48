"""``serve``: says where it listens, answers there, and leaves nothing behind."""

import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests.conftest import ROOT
from tests.host.cli.command import Command, descendants, error_of, processes_of_session, started, still_running

_LISTENING = re.compile(r"listening on (http://\S+)")
_TOKEN = re.compile(r"imp_[\w-]{43}")


@dataclass(frozen=True)
class Served:
    process: subprocess.Popen[str]
    said: str

    @property
    def address(self) -> str:
        found = _LISTENING.search(self.said)
        assert found is not None, self.said
        return found[1]

    @property
    def tokens(self) -> list[str]:
        return _TOKEN.findall(self.said)

    def stop(self, number: signal.Signals) -> str:
        """What it said from then on."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        assert out == ""
        return err


@contextmanager
def served(command: Command, *options: object) -> Iterator[Served]:
    with started(command, "serve", "--port", 0, *options) as process:
        said = ""
        assert process.stderr is not None
        for line in process.stderr:
            said += line
            if _LISTENING.search(line):
                break
        yield Served(process, said)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_and_on_a_signal_ends_with_all_its_processes(command: Command, number: signal.Signals) -> None:
    with served(command, "--extensions", ROOT / "examples") as running, httpx.Client() as client:
        [token] = running.tokens
        answer = client.get(f"{running.address}/healthz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        called = client.post(
            f"{running.address}/v1/extensions/hello/functions/greet",
            json={"arguments": {"name": "Ada"}},
            headers={"authorization": f"Bearer {token}"},
        )
        assert called.json()["data"]["text"].startswith("Hello, Ada.")
        below = descendants(running.process.pid)
        assert below, "an isolate rests, ready for the next call"
        said = running.stop(number)
        assert "Traceback" not in said
        assert running.process.returncode in (0, 128 + signal.SIGINT, 128 + number)
        assert processes_of_session(running.process.pid) == []
        assert still_running(below) == set()
        with pytest.raises(httpx.ConnectError):
            client.get(f"{running.address}/healthz")


def test_the_admins_token_is_told_on_the_first_start_only(command: Command) -> None:
    with served(command) as first:
        [token] = first.tokens
        assert token not in first.stop(signal.SIGTERM)
    with served(command) as second:
        assert second.tokens == []
        listed = httpx.get(f"{second.address}/v1/admin/tokens", headers={"authorization": f"Bearer {token}"})
        assert listed.status_code == 200
        assert second.stop(signal.SIGTERM).count(token) == 0


def test_the_model_server_ends_with_it(command_with_model: Command) -> None:
    options = ("--extensions", ROOT / "tests" / "fixtures" / "extensions")
    with served(command_with_model, *options) as running:
        [token] = running.tokens
        called = httpx.post(
            f"{running.address}/v1/extensions/probe/functions/asks",
            json={"arguments": {"text": "hi"}},
            headers={"authorization": f"Bearer {token}"},
            timeout=60,
        )
        assert called.json()["usage"]["provider"] == "local"
        below = descendants(running.process.pid)
        assert len(below) >= 3, "an isolate's two processes, and the model's"
        running.stop(signal.SIGTERM)
        assert still_running(below) == set()


def test_what_is_missing_is_said_and_the_rest_is_served(command: Command) -> None:
    (command.place / "extensions" / "broken").mkdir(parents=True)
    (command.place / "extensions" / "broken" / "main.py").write_text("1 / 0", encoding="utf-8")
    with served(command, "--extensions", command.place / "extensions") as running:
        assert "extension broken is not loaded: " in running.said
        assert "imperal-host model pull" in running.said
        assert httpx.get(f"{running.address}/healthz").status_code == 200
        running.stop(signal.SIGTERM)


def test_a_port_that_is_taken_is_one_line_and_nothing_is_made(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = error_of(command("serve", "--port", port))
    assert message.startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert "in use" in message
    assert not command.data_dir.exists()


def test_an_address_that_is_not_ours_is_one_line(command: Command) -> None:
    assert "cannot listen on 192.0.2.1:0: " in error_of(command("serve", "--host", "192.0.2.1", "--port", 0))


def test_settings_that_are_wrong_are_one_line(command: Command) -> None:
    assert error_of(command.having(IMPERAL_LOG_LEVEL="loud")("serve")).startswith("IMPERAL_LOG_LEVEL: ")
