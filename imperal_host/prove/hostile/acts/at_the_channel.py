"""The protocol with the host: frames that were forged, broken, flooded or never read."""

import asyncio
import json
import os
import socket

from registry import Done, Targets, act

from imperal_sdk import Context

_CHANNEL = 3


def _frame(body: object) -> bytes:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return len(text).to_bytes(4, "big") + text


def _ask(ctx: Context, **changes: object) -> dict[str, object]:
    return {"type": "ask", "call_id": "x", "ask_id": 1, "capability": "log.write", "payload": {}, **changes}


async def _send(data: bytes) -> str:
    """Past the SDK. The channel does not block, so a full one is waited for."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(_CHANNEL, view) :]
        except BlockingIOError:
            await asyncio.sleep(0.001)
    await asyncio.sleep(2)
    return "the host took it"


_RESULT = {"status": "success", "data": {"forged": True}, "summary": ""}
FORGED: dict[str, bytes] = {
    "a length over the limit": b"\xff\xff\xff\xff",
    "a length one over the limit": ((4 << 20) + 1).to_bytes(4, "big"),
    "an empty frame": b"\0\0\0\0",
    "bytes that are no message": b"\0\0\0\4\xde\xad\xbe\xef",
    "a message that is no object": _frame([]),
    "a message without a type": _frame({}),
    "a type that does not exist": _frame({"type": "grant", "capability": "vault.open"}),
    "a call of its own": _frame(
        {"type": "invoke", "call_id": "1", "function": "answer", "arguments": {}, "context": {}}
    ),
    "a part of an answer, as if it were the host": _frame({"type": "part", "ask_id": 1, "items": []}),
    "a cancel that names a tenant": _frame({"type": "cancel", "call_id": "x", "ask_id": 1, "tenant": "globex"}),
    "a cancel whose number is text": _frame({"type": "cancel", "call_id": "x", "ask_id": "1"}),
    "200 cancels of another call": _frame({"type": "cancel", "call_id": "another", "ask_id": 1}) * 200,
    "an answer, as if it were the host": _frame({"type": "answer", "ask_id": 1, "payload": {}}),
    "a refusal, as if it were the host": _frame({"type": "refusal", "ask_id": 1, "code": "x", "message": "x"}),
    "a second ready": _frame({"type": "ready", "manifest": {}}),
    "a result for a call never made": _frame({"type": "return", "call_id": "another", "result": _RESULT}),
    "a result for an empty call": _frame({"type": "return", "call_id": "", "result": _RESULT}),
    "a fault for a call never made": _frame({"type": "fault", "code": "x", "message": "x", "call_id": "another"}),
    "a fault for no call": _frame({"type": "fault", "code": "x", "message": "x"}),
    "a result that names a tenant": _frame({"type": "return", "call_id": "x", "result": {}, "tenant": "globex"}),
    "an ask that names a tenant": _frame({**_ask(None), "tenant": "globex"}),
    "an ask that names a user": _frame({**_ask(None), "user": "ada"}),
    "an ask that names an extension": _frame({**_ask(None), "extension": "summarizer"}),
    "an ask whose number is text": _frame({**_ask(None), "ask_id": "1"}),
    "an ask whose number is huge": _frame(b'{"type":"ask","call_id":"x","ask_id":' + b"9" * 5_000 + b"}"),
    "a payload that is no object": _frame({**_ask(None), "payload": []}),
    "objects 100,000 deep": _frame(b'{"type":"ask","payload":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}"),
    "a million values": _frame(b'{"type":"ask","payload":{"a":[' + b"0," * 1_000_000 + b"0]}}"),
    "text that is not UTF-8": _frame(b'{"type":"ask","call_id":"\xff\xfe"}'),
    "a number that is no number": _frame(b'{"type":"ask","call_id":"x","ask_id":NaN}'),
}
for name, data in FORGED.items():
    act(f"send {name}")(lambda t, ctx, data=data: _send(data))


@act("send half a frame and wait")
async def partial(t: Targets, ctx: Context) -> str:
    os.write(_CHANNEL, (1_000).to_bytes(4, "big") + b"{")
    await asyncio.sleep(1e9)
    return ""


@act("send a frame byte by byte, for ever")
async def slow(t: Targets, ctx: Context) -> str:
    os.write(_CHANNEL, (1 << 20).to_bytes(4, "big"))
    while True:
        os.write(_CHANNEL, b" ")
        await asyncio.sleep(0.01)


@act("ask without end and never read the answers")
async def never_read(t: Targets, ctx: Context) -> str:
    data = b"".join(_frame({**_ask(ctx), "ask_id": index}) for index in range(5_000))
    await _send(data)
    return "the host answered 5,000 times"


@act("stop reading for ever")
async def deaf(t: Targets, ctx: Context) -> str:
    for index in range(500):
        ctx.progress(index / 5, "answer me " * 50)
    await asyncio.sleep(0.01)  # all are sent; from here on nothing is read
    while True:
        os.sched_yield()


@act("cancel what was never asked")
async def cancel_nothing(t: Targets, ctx: Context) -> str:
    cancels = [_frame({"type": "cancel", "call_id": _call_id(), "ask_id": 900_000 + index}) for index in range(5_000)]
    return await _send(b"".join(cancels))


@act("ask for another call")
async def other_call(t: Targets, ctx: Context) -> str:
    """The host must refuse it as over, and go on with this one."""
    os.write(_CHANNEL, _frame({**_ask(ctx), "ask_id": 900_000, "call_id": "another", "capability": "llm.complete"}))
    await asyncio.sleep(0.2)
    return Done("nothing came of it")


@act("end the host's half of the channel")
def shut_down(t: Targets, ctx: Context) -> str:
    with socket.socket(fileno=os.dup(_CHANNEL)) as channel:
        channel.shutdown(socket.SHUT_RDWR)
    return "it is shut"


@act("answer twice")
async def twice(t: Targets, ctx: Context) -> str:
    """Its true answer comes after one that it made itself: of this one nothing may be left for the next call."""
    call_id = _call_id()
    forged = {"type": "return", "call_id": call_id, "result": {**_RESULT, "data": {"token": "done", "says": "first"}}}
    os.write(_CHANNEL, _frame(forged))
    return Done("second")


def _call_id() -> str:
    import gc

    for candidate in gc.get_objects():
        if type(candidate).__name__ == "Invoke" and type(candidate).__module__.startswith("imperal_sdk"):
            return str(candidate.call_id)
    raise LookupError("the call's own message is not found")


@act("control: send a well-formed ask")
async def well_formed(t: Targets, ctx: Context) -> str:
    return f"answered {await ctx.llm._ask('progress.report', {'percent': 1.0, 'message': 'here'})}"
