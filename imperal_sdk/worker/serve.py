"""The isolate's loop: invoke frames in, ask frames out and back, return frames out."""

import asyncio
import contextlib
import math
import os
import socket
import sys
import traceback
from collections.abc import Coroutine
from typing import Any

import msgspec
from pydantic import BaseModel, ValidationError

from imperal_sdk.chat.extension import FunctionDef
from imperal_sdk.context import Context
from imperal_sdk.errors import ImperalError
from imperal_sdk.extension import Extension
from imperal_sdk.types.action_result import ActionResult
from imperal_sdk.wire import (
    Answer,
    CallContext,
    Confined,
    Connection,
    Fault,
    Frame,
    Invoke,
    LlmView,
    Part,
    Problem,
    Ready,
    Refusal,
    Return,
    Role,
    Start,
)
from imperal_sdk.wire.connection import UnsendableError
from imperal_sdk.worker import limits
from imperal_sdk.worker.asks import Asks, Door
from imperal_sdk.worker.loader import LoadError, load, manifest_of

_FRAME_BYTES = 1 << 12
_READ_BYTES = 1 << 16


def serve(channel: socket.socket, module: str, attribute: str) -> None:
    """Say ``Confined``; once told to, load the extension, say ``Ready``, and serve until the host closes."""
    connection = Connection(Role.ISOLATE)
    channel.sendall(connection.send(Confined()))
    match connection.receive(channel.recv(_FRAME_BYTES)):
        case [Start() as start]:
            pass
        case _:
            return
    try:
        extension = load(module, attribute)
        manifest = manifest_of(extension).model_dump(mode="json") if start.manifest_wanted else None
    except LoadError as error:
        channel.sendall(connection.send(Fault(code="extension.load_failed", message=str(error)[:2000])))
        return
    worker = _Worker(channel, connection, extension, _home(module))
    worker.warm()
    worker.serve(Ready(manifest))


class _Worker:
    """Waits in recv(2) while no call is in progress, and in an event loop only while one waits for something.

    Most of what a loop costs is its own turns, and a function that asks for nothing needs none: its task is
    over after one step. What a call left behind goes on when a later one waits.
    """

    def __init__(
        self, channel: socket.socket, connection: Connection, extension: Extension, home: tuple[str, str]
    ) -> None:
        self._place, self._home = home
        self._channel = channel
        self._functions = extension.functions
        self._config = dict(extension.config_defaults)
        self._connection = connection
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsent: list[bytes] = []
        self._is_receiving = False
        self._is_writing_later = False
        self._is_closed = False
        self._loop = asyncio.new_event_loop()
        self._asks = Asks(self._loop, self._send)

    def warm(self) -> None:
        """Touch, before the first call waits for it, the memory that every call needs: a clone shares it until then."""
        said = CallContext("0", "", "0", "user", [], LlmView(False, "", ""), 0.0, {})
        host, isolate = Connection(Role.HOST), Connection(Role.ISOLATE)
        for frame in isolate.receive(host.send(Invoke("0", "", {}, said))):
            host.receive(isolate.send(Return("0", ActionResult.success({"frame": str(frame)}).to_dict())))
        self._loop.run_until_complete(asyncio.sleep(0))

    def serve(self, ready: Ready) -> None:
        self._loop.add_reader(self._channel, self._read)
        self._send(ready)
        while not self._is_closed:
            if self._tasks or self._unsent:
                self._loop.run_forever()
            else:
                data = self._channel.recv(_READ_BYTES)
                asyncio._set_running_loop(self._loop)
                try:
                    self._receive(data)
                finally:
                    asyncio._set_running_loop(None)

    def _read(self) -> None:
        try:
            data = self._channel.recv(_READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        self._receive(data)

    def _receive(self, data: bytes) -> None:
        if not data:
            self._close()
            return
        self._is_receiving = True
        for frame in self._connection.receive(data):
            self._take(frame)
        self._is_receiving = False
        self._flush()

    def _send(self, frame: Frame) -> None:
        self._write(self._connection.send(frame))

    def _write(self, message: bytes) -> None:
        """At once if one call runs; what several say in one turn of the loop goes out together."""
        self._unsent.append(message)
        if len(self._tasks) <= 1 and not self._is_receiving:
            self._flush()
        elif len(self._unsent) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Never waits for the host, which may itself be waiting until this side reads."""
        if not self._unsent:
            return
        data = b"".join(self._unsent)
        try:
            sent = self._channel.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except ConnectionError:
            self._close()
            return
        self._unsent = [data[sent:]] if sent < len(data) else []
        if bool(self._unsent) != self._is_writing_later:
            self._is_writing_later = not self._is_writing_later
            if self._is_writing_later:
                self._loop.add_writer(self._channel, self._flush)
            else:
                self._loop.remove_writer(self._channel)
        self._stop_if_idle()

    def _close(self) -> None:
        self._is_closed = True
        self._loop.stop()

    def _stop_if_idle(self) -> None:
        if not self._tasks and not self._unsent and self._loop.is_running():
            self._loop.stop()

    def _take(self, frame: Frame) -> None:
        match frame:
            case Invoke():
                task = self._begin(self._call(frame))
                if not task.done():
                    self._tasks.add(task)
            case Part() | Answer() | Refusal():
                self._asks.take(frame)
            case _:
                raise AssertionError(frame)

    def _begin(self, call: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task whose first step is made now rather than in the loop's next turn: most calls are then over.

        (``eager_start`` of Python 3.12 does so only inside a loop that runs.)
        """
        task = self._loop.create_task(call)
        first_step: asyncio.Handle = self._loop._ready.pop()  # type: ignore[attr-defined]
        first_step._run()
        return task

    async def _call(self, invoke: Invoke) -> None:
        reply: Return | Fault
        try:
            reply = Return(invoke.call_id, await self._run(invoke))
        except _BadArgumentsError as error:
            reply = Fault("request.invalid", str(error), invoke.call_id, error.problems)
        except ImperalError as error:
            reply = Fault(_text(error.code)[:100], self._explain(error), invoke.call_id)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # a CancelledError too: whatever the function raises is its answer
            if self._is_closed:
                raise
            code = "extension.limit" if (limit := limits.reached(error)) else "extension.raised"
            reply = Fault(code, f"{limit}{self._explain(error)}"[:2000], invoke.call_id)
            with contextlib.suppress(Exception):  # the extension may have closed its standard error
                traceback.print_exception(error)
        self._asks.running.discard(invoke.call_id)
        self._write(self._encode(reply, invoke))
        self._tasks.discard(asyncio.current_task())
        self._stop_if_idle()

    def _encode(self, reply: Return | Fault, invoke: Invoke) -> bytes:
        try:
            message = self._connection.send(reply)
        except UnsendableError as error:
            why = f"the answer cannot be sent: {error}"
            return self._connection.send(Fault("extension.bad_answer", why[:2000], invoke.call_id))
        if b"null" in message and isinstance(reply, Return) and _has_no_json(reply.result):
            why = f"ValueError: {invoke.function} returned NaN or infinity, which JSON does not have"
            return self._connection.send(Fault("extension.raised", why, invoke.call_id))
        return message

    def _explain(self, error: BaseException) -> str:
        """One line: what was raised, and where in the extension's own files."""
        for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
            file = frame.f_code.co_filename
            if file.startswith((f"{self._home}/", f"{self._home}.py")):
                name = file.removeprefix(f"{self._home}/").removeprefix(f"{self._place}/")
                return f"{_line(error)[:1500]} ({name}, line {line}, in {frame.f_code.co_name})"
        return _line(error)

    async def _run(self, invoke: Invoke) -> dict[str, Any]:
        function = self._functions.get(invoke.function)
        if function is None:
            raise ImperalError(f"the extension has no function {invoke.function!r} in this isolate", "extension.raised")
        arguments = _arguments(function, invoke.arguments)
        called = invoke.context
        if self._config:
            called = msgspec.structs.replace(called, config={**self._config, **called.config})
        self._asks.running.add(invoke.call_id)
        door = Door(self._asks, invoke.call_id)
        return _as_result(await function.func(Context(called, door.ask, door.emit, door.stream), *arguments), function)


class _BadArgumentsError(Exception):
    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in problems)[:2000])
        self.problems = problems


def _arguments(function: FunctionDef, given: dict[str, Any]) -> tuple[BaseModel, ...]:
    if function.params_model is None:
        if given:
            raise _BadArgumentsError([Problem(name, "the function takes no arguments") for name in given][:20])
        return ()
    try:
        return (function.params_model.model_validate(given),)
    except ValidationError as error:
        problems = [
            Problem(".".join(map(str, item["loc"])) or "(arguments)", item["msg"])
            for item in error.errors(include_url=False, include_context=False, include_input=False)[:20]
        ]
        raise _BadArgumentsError(problems) from None


def _as_result(value: Any, function: FunctionDef) -> dict[str, Any]:
    if isinstance(value, ActionResult):
        result = value.to_dict()
    elif isinstance(value, BaseModel | dict):
        result = ActionResult.success(value).to_dict()
    else:
        raise TypeError(
            f"{function.name} returned {type(value).__name__}; return a dict, a pydantic model or an ActionResult"
        )
    if function.data_model is not None and result["status"] == "success":
        function.data_model.model_validate(result["data"])
    return result


def _has_no_json(value: object) -> bool:
    """Whether a number is in it that would silently become null on its way."""
    if isinstance(value, dict):
        return any(map(_has_no_json, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_no_json, value))
    return isinstance(value, float) and not math.isfinite(value)


def _home(module: str) -> tuple[str, str]:
    """Where the extension's files lie, and what the paths of its own ones among them begin with.

    A folder is all its own; a package shares its place with what it requires.
    """
    file = str(sys.modules[module].__file__)
    place = next((entry for entry in sys.path if file.startswith(f"{entry}/")), os.path.dirname(file))
    return place, place if module == "main" else f"{place}/{module.partition('.')[0]}"


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {_text(error)}".split())[:2000]


def _text(value: object) -> str:
    """``str``, of what may be hostile to it."""
    try:
        return str(value).encode(errors="replace").decode()
    except Exception:
        return "?"
