"""The isolate's loop: invoke frames in, ask frames out and back, return frames out."""

import asyncio
import itertools
import socket
from typing import Any

import msgspec
from pydantic import BaseModel, ValidationError

from imperal_sdk.chat.extension import FunctionDef
from imperal_sdk.context import Context
from imperal_sdk.errors import ImperalError, from_code
from imperal_sdk.extension import Extension
from imperal_sdk.types.action_result import ActionResult
from imperal_sdk.wire import (
    Answer,
    Ask,
    Connection,
    Fault,
    Frame,
    FrameTooLargeError,
    Invoke,
    Problem,
    Ready,
    Refusal,
    Return,
    Role,
)
from imperal_sdk.worker.loader import LoadError, load

_READ_BYTES = 1 << 16


def serve(channel: socket.socket, module: str, attribute: str) -> None:
    """Load the extension, say ``Ready``, serve until the host closes the channel."""
    try:
        extension, manifest = load(module, attribute)
    except LoadError as error:
        connection = Connection(Role.ISOLATE)
        channel.sendall(connection.send(Fault(code="extension.load_failed", message=str(error)[:2000])))
        return
    asyncio.run(_Worker(channel, extension).run(manifest.model_dump(mode="json")))


class _Worker:
    def __init__(self, channel: socket.socket, extension: Extension) -> None:
        self._channel = channel
        self._functions = extension.functions
        self._config = dict(extension.config_defaults)
        self._connection = Connection(Role.ISOLATE)
        self._ask_ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, manifest: dict[str, Any]) -> None:
        reader, self._writer = await asyncio.open_connection(sock=self._channel)
        self._send(Ready(manifest))
        while data := await reader.read(_READ_BYTES):
            for frame in self._connection.receive(data):
                self._take(frame)

    def _send(self, frame: Frame) -> None:
        self._writer.write(self._connection.send(frame))

    def _take(self, frame: Frame) -> None:
        match frame:
            case Invoke():
                task = asyncio.create_task(self._call(frame))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case Answer():
                if (waiting := self._waiting.pop(frame.ask_id, None)) and not waiting.done():
                    waiting.set_result(frame.payload)
            case Refusal():
                if (waiting := self._waiting.pop(frame.ask_id, None)) and not waiting.done():
                    waiting.set_exception(from_code(frame.code, frame.message))
            case _:
                raise AssertionError(frame)

    async def _call(self, invoke: Invoke) -> None:
        reply: Frame
        try:
            result = await self._run(invoke)
            reply = Return(invoke.call_id, result)
        except ValidationError as error:
            reply = Fault("extension.raised", _line(error), invoke.call_id)
        except _BadArgumentsError as error:
            reply = Fault("request.invalid", str(error), invoke.call_id, error.problems)
        except ImperalError as error:
            reply = Fault(error.code, _line(error), invoke.call_id)
        except Exception as error:
            reply = Fault("extension.raised", _line(error), invoke.call_id)
        try:
            self._send(reply)
        except (TypeError, ValueError, OverflowError, RecursionError, FrameTooLargeError) as error:
            why = f"the answer cannot be sent: {_line(error)}"
            self._send(Fault("extension.bad_answer", why, invoke.call_id))

    async def _run(self, invoke: Invoke) -> dict[str, Any]:
        async def ask(capability: str, payload: dict[str, Any]) -> dict[str, Any]:
            ask_id = next(self._ask_ids)
            future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
            self._waiting[ask_id] = future
            try:
                self._send(Ask(invoke.call_id, ask_id, capability, payload))
                return await future
            except FrameTooLargeError as error:
                raise ImperalError(str(error), "request.too_large") from None
            finally:
                self._waiting.pop(ask_id, None)

        def emit(capability: str, payload: dict[str, Any]) -> None:
            self._send(Ask(invoke.call_id, next(self._ask_ids), capability, payload))

        function = self._functions[invoke.function]
        arguments = _arguments(function, invoke.arguments)
        config = {**self._config, **invoke.context.config}
        context = Context(msgspec.structs.replace(invoke.context, config=config), ask, emit)
        return _as_result(await function.func(context, *arguments), function)


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


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:2000]
