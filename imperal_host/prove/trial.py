"""One attempt at a time: make it, look at the rest of the machine, judge."""

import asyncio
import contextlib
import os
from collections.abc import Mapping

from imperal_host.app import Host
from imperal_host.errors import DeadlineError, ExtensionStoppedError, HostError, SetupError
from imperal_host.identity import Principal
from imperal_host.kernel.dispatch import Call
from imperal_host.prove.row import DEADLINE, WORKED, Row, Seen, Tier, Verdict, judge, token_of
from imperal_host.prove.stage import HOSTILE, VICTIM, Stage
from imperal_host.prove.suite import LOADING

_BYSTANDER_SECONDS_MAX = 30.0
_NEEDED = ("acts", "at_import")


class Trial:
    def __init__(self, host: Host, stage: Stage, tier: Tier) -> None:
        self._host = host
        self._stage = stage
        self._tier: Tier = tier
        self._hostname = os.uname().nodename

    async def prepare(self) -> None:
        """Store the keys, and give the listening extension something to hear. Raises ``SetupError``."""
        for name in _NEEDED:
            if why := self._host.rooms.catalog.failures.get(name):
                raise SetupError(f"the hostile extension {name} could not be loaded: {why}")
        await self._stage.store_keys(self._host.rooms.bindings)
        whisper = {"name": self._stage.secrets.words, "targets": {}}
        await self._call(VICTIM, "at-import", "whisper", whisper)

    async def attempt(self, row: Row) -> Verdict:
        seen = self._loading(row) if row.name.startswith(LOADING) else await self._try(row)
        if row.wears_out:
            await self._retire(row)
        others = (*self._changes(), *await self._bystander())
        return judge(row, self._tier, Seen(seen.token, seen.says, others), self._stage.secrets.all())

    async def names(self) -> set[str]:
        """What the hostile code says it can try, beside what it tried while it was imported."""
        data = await self._call(HOSTILE, "acts", "names", {})
        assert isinstance(data, dict)
        return set(data["names"])

    def _loading(self, row: Row) -> Seen:
        why = self._host.rooms.catalog.failures.get(row.extension)
        return Seen(WORKED, "it was loaded") if why is None else Seen(token_of(why), why)

    async def _try(self, row: Row) -> Seen:
        arguments = {"name": row.name, "targets": self._stage.targets}
        try:
            report = await self._call(HOSTILE, row.extension, "attempt", arguments)
        except DeadlineError as error:
            return Seen(DEADLINE, str(error))
        except ExtensionStoppedError as error:
            return Seen(token_of(str(error)), str(error))
        except HostError as error:
            return Seen(error.code, str(error))
        if not isinstance(report, dict):
            return Seen("no report", str(report))
        return Seen(str(report.get("token", "no report")), str(report.get("says", report)))

    async def _retire(self, row: Row) -> None:
        with contextlib.suppress(HostError):  # it has ended, at the latest with the next call
            await self._call(HOSTILE, row.extension, "leave", {})

    def _changes(self) -> list[str]:
        """What is different on the machine that must not be."""
        found = list(self._stage.baits)
        self._stage.baits.clear()
        if os.uname().nodename != self._hostname:
            found.append("the machine's name was changed")
        if self._stage.canary_file.read_text() != self._stage.secrets.file:
            found.append("a file of the host was changed")
        return found

    async def _bystander(self) -> list[str]:
        """Another tenant's call, after all this, is answered as ever."""
        try:
            async with asyncio.timeout(_BYSTANDER_SECONDS_MAX):
                if await self._call(VICTIM, "acts", "answer", {}) == {"text": "here"}:
                    return []
            return ["another tenant was answered wrongly"]
        except (HostError, TimeoutError) as error:
            return [f"another tenant was not answered: {type(error).__name__}: {error}"]

    async def _call(self, who: Principal, extension: str, function: str, arguments: Mapping[str, object]) -> object:
        answer = await self._host.rooms.kernel.dispatch(who, Call(extension, function, dict(arguments)))
        return answer.result.data
