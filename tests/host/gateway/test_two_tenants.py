"""One address, many users, every one with a key, a model and parameters of their own, who change them all the time:
no request ever carries another's."""

import asyncio
import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from imperal_host.errors import UnavailableError
from imperal_host.gateway.binding import BindingDraft, owner_of
from imperal_host.gateway.transport import AiohttpTransport
from imperal_host.storage.database import Database
from imperal_sdk.llm import LlmRequest, Message, Parameters
from tests.host.conftest import principal, scope
from tests.host.gateway.conftest import LOOPBACK, answer
from tests.host.gateway.stage import Stage

# the same user names in two tenants
WHO = [("acme", "ada"), ("globex", "ada"), ("acme", "eve"), ("globex", "eve")]
STEPS = st.lists(st.tuples(st.sampled_from(WHO), st.sampled_from(["call", "stream", "rebind", "pause"])), max_size=60)


def key_of(tenant: str, user: str, version: int) -> str:
    return f"sk-{tenant}-{user}-{version}-0123456789"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says who it was asked by, with which model and how many tokens."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            fields = dict(line.split(": ", 1) for line in head.strip().split("\r\n")[1:])
            body = json.loads(await reader.readexactly(int(fields["content-length"])))
            said = f"{fields['authorization'].removeprefix('bearer ')} {body['model']} {body['max_tokens']}"
            if body.get("stream"):
                choice = {"index": 0, "delta": {"content": said}, "finish_reason": "stop"}
                data = f"data: {json.dumps({'choices': [choice]})}\n\ndata: [DONE]\n\n".encode()
            else:
                message = {"role": "assistant", "content": said}
                data = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
            writer.write(answer(data))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


class Users:
    """What each may be seen with: the version before a change or after it, while one is under way."""

    def __init__(self, stage: Stage, url: str) -> None:
        self._stage = stage
        self._url = url
        self._version = dict.fromkeys(WHO, 0)
        self.gateway = stage.gateway()

    async def rebind(self, who: tuple[str, str]) -> None:
        self._version[who] += 1
        version = self._version[who]
        draft = BindingDraft("openai_compatible", f"model-of-{'-'.join(who)}", self._url, api_key=key_of(*who, version))
        await self._stage.bindings.put(owner_of(principal(*who)), draft)

    async def call(self, who: tuple[str, str], *, streamed: bool) -> None:
        before, tokens = self._version[who], 100 + WHO.index(who)
        request = LlmRequest(
            messages=(Message(role="user", content="who am I"),), parameters=Parameters(max_tokens=tokens)
        )
        try:
            if streamed:
                done = await self.gateway.stream(scope(*who), request, _nothing)
            else:
                done = await self.gateway.complete(scope(*who), request)
        except UnavailableError as error:
            if "changed while the call was being made" not in str(error):
                raise
            return
        key, model, max_tokens = done.text.split()
        assert (model, max_tokens) == (f"model-of-{'-'.join(who)}", str(tokens))
        assert key in ["[redacted]"], "the answer of one's own key is redacted; another's would not be"
        assert self._version[who] >= before


async def _nothing(deltas: list[dict[str, object]]) -> None:
    pass


async def play(steps: list[tuple[tuple[str, str], str]], file: Path) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    database = Database.open(file)
    stage = Stage(database, LOOPBACK)
    stage.transport = AiohttpTransport()
    users = Users(stage, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    try:
        for who in WHO:
            await users.rebind(who)
        async with asyncio.TaskGroup() as group:
            for who, what in steps:
                if what == "pause":
                    await asyncio.sleep(0.002)
                elif what == "rebind":
                    group.create_task(users.rebind(who))
                else:
                    group.create_task(users.call(who, streamed=what == "stream"))
    finally:
        await stage.transport.aclose()
        database.close()
        server.close()


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
def test_nobody_is_ever_seen_with_what_is_anothers(steps: list[tuple[tuple[str, str], str]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(play(steps, Path(place, "host.sqlite3")))
