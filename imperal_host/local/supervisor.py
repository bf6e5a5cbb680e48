"""Starts the model server when it is first needed, and again if it died."""

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
from pathlib import Path

from imperal_host.errors import UnavailableError
from imperal_host.local.weights import MODEL
from imperal_host.log import logger
from imperal_host.vault.secret import Secret

_START_SECONDS_MAX = 60.0
_END_SECONDS_MAX = 5.0
_LOG_CHARACTERS = 500
_LOG_BYTES = 4_096


class LocalModelServer:
    """One child process. ``endpoint`` is the only thing to ask of it; without a ``key`` it makes its own.

    With ``shows_requests`` it tells the holder of the key, at /slots, what it was last asked.
    """

    def __init__(
        self,
        weights: Path,
        *,
        alias: str = MODEL,
        context_tokens: int = 8_192,
        key: str = "",
        shows_requests: bool = False,
    ) -> None:
        self.model = alias
        self._weights = weights
        self._context_tokens = context_tokens
        self._shows_requests = shows_requests
        self._key = key or secrets.token_urlsafe(32)
        self._process: asyncio.subprocess.Process | None = None
        self._address = ""
        self._starting = asyncio.Lock()
        self._drain: asyncio.Task[None] | None = None
        self._log = logger("local").bind(model=alias)

    async def endpoint(self) -> tuple[str, Secret]:
        """The OpenAI base URL and the key; starts the server if it does not run.

        Raises ``UnavailableError`` when it does not come up.
        """
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                await self._start()
        return f"{self._address}/v1", Secret(self._key)

    async def aclose(self) -> None:
        """Waits for a start that is under way."""
        async with self._starting:
            process, self._process = self._process, None
            if process is not None:
                await self._end(process)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(_END_SECONDS_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._drain is not None:
            await self._drain

    async def _start(self) -> None:
        if self._process is not None:
            self._log.warning("local.restart", status=self._process.returncode)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "imperal_host.local.server"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C is the host's affair
        )
        assert process.stdin is not None
        assert process.stdout is not None
        tail: list[str] = []
        self._drain = asyncio.create_task(self._read_log(process, tail))
        config = {
            "weights": str(self._weights),
            "alias": self.model,
            "key": self._key,
            "context_tokens": self._context_tokens,
            "shows_requests": self._shows_requests,
        }
        answer: dict[str, str] = {}
        try:
            with contextlib.suppress(TimeoutError, ValueError, ConnectionError):
                async with asyncio.timeout(_START_SECONDS_MAX):
                    process.stdin.write(json.dumps(config).encode() + b"\n")
                    await process.stdin.drain()
                    answer = json.loads(await process.stdout.readline())
        finally:
            if "address" not in answer:  # also when the one who asked has given up
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
                await self._drain
        if "address" not in answer:
            why = answer.get("error") or "".join(tail)[-_LOG_CHARACTERS:].strip() or "no answer"
            raise UnavailableError(f"the embedded model's server did not start: {why}")
        self._process, self._address = process, answer["address"]
        self._log.debug("local.started", address=self._address, pid=process.pid)

    async def _read_log(self, process: asyncio.subprocess.Process, tail: list[str]) -> None:
        """The server's own log is read so that it never blocks, and its last lines are kept."""
        assert process.stderr is not None
        while data := await process.stderr.read(_LOG_BYTES):
            tail.append(data.decode(errors="replace"))
            del tail[:-4]
