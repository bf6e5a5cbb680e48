"""``@chat.function``: typed async functions become callable from outside."""

import inspect
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, overload

from pydantic import BaseModel

from imperal_sdk.errors import ExtensionError
from imperal_sdk.extension import Extension
from imperal_sdk.manifest import ActionType

Handler = Callable[..., Awaitable[Any]]
_ACTION_TYPES = typing.get_args(ActionType)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class FunctionDef:
    """One declared function. ``params_model`` is the type of its one pydantic argument, if it has one."""

    name: str
    func: Handler
    description: str
    action_type: ActionType = "read"
    event: str = ""
    params_model: type[BaseModel] | None = None
    data_model: type[BaseModel] | None = None


class ChatExtension:
    """A bundle of functions of one extension.

    ``system_prompt``, ``model`` and ``max_rounds`` are the published SDK's; they mean nothing here.
    """

    def __init__(
        self,
        ext: Extension,
        tool_name: str | None = None,
        description: str = "",
        system_prompt: str = "",
        model: str | None = None,
        max_rounds: int = 10,
    ) -> None:
        self.ext = ext
        self.tool_name = tool_name or ext.app_id
        self.description = description
        self.functions: dict[str, FunctionDef] = {}
        ext.attach(self)

    @overload
    def function(self, name: Handler, /) -> Handler: ...
    @overload
    def function(
        self,
        name: str | None = None,
        description: str = "",
        params: dict[str, Any] | None = None,
        action_type: ActionType = "read",
        event: str = "",
        chain_callable: bool | None = None,
        effects: list[str] | None = None,
        id_projection: str | None = None,
        background: bool = False,
        long_running: bool = False,
        inputs: list[str] | None = None,
        outputs: list[str] | None = None,
        data_model: type[BaseModel] | None = None,
        ui_builder: bool = False,
    ) -> Callable[[Handler], Handler]: ...
    def function(
        self,
        name: str | Handler | None = None,
        description: str = "",
        params: dict[str, Any] | None = None,
        action_type: ActionType = "read",
        event: str = "",
        chain_callable: bool | None = None,
        effects: list[str] | None = None,
        id_projection: str | None = None,
        background: bool = False,
        long_running: bool = False,
        inputs: list[str] | None = None,
        outputs: list[str] | None = None,
        data_model: type[BaseModel] | None = None,
        ui_builder: bool = False,
    ) -> Handler | Callable[[Handler], Handler]:
        """Declare a function.

        ``name`` may be left out (then the function's own), or given first or by keyword. The arguments are
        the published SDK's, in its order, so that one source runs on both; of them ``chain_callable``,
        ``effects``, ``id_projection``, ``background``, ``long_running``, ``inputs``, ``outputs`` and
        ``ui_builder`` mean nothing here yet. A misspelt one is a ``TypeError``. Raises ``ExtensionError`` at
        once for a declaration that could never be called.
        """

        def register(func: Handler) -> Handler:
            model = self._params_model(func)
            if params and model is None:
                raise ExtensionError(
                    self.ext.app_id, f"{func.__name__}: params= needs an argument with a pydantic model"
                )
            self._add(
                FunctionDef(
                    name=name if isinstance(name, str) else func.__name__,
                    func=func,
                    description=description or inspect.getdoc(func) or "",
                    action_type=action_type,
                    event=event,
                    params_model=model,
                    data_model=data_model,
                )
            )
            return func

        return register(name) if callable(name) else register

    def _add(self, function: FunctionDef) -> None:
        if function.name in self.ext.functions:
            raise ExtensionError(self.ext.app_id, f"two functions are named {function.name!r}")
        if function.action_type not in _ACTION_TYPES:
            raise ExtensionError(
                self.ext.app_id,
                f"{function.name}: action_type is one of {', '.join(_ACTION_TYPES)}, not {function.action_type!r}",
            )
        self.functions[function.name] = function

    def _params_model(self, func: Handler) -> type[BaseModel] | None:
        where = f"{func.__name__}: "
        if not inspect.iscoroutinefunction(func):
            raise ExtensionError(self.ext.app_id, where + "a function is declared with 'async def'")
        arguments = list(inspect.signature(func).parameters.values())
        if not arguments or arguments[0].kind not in _POSITIONAL:
            raise ExtensionError(self.ext.app_id, where + "its first argument is ctx")
        if len(arguments) == 1:
            return None
        # Only this one: a Context imported under TYPE_CHECKING need not resolve.
        annotated = SimpleNamespace(__annotations__={"params": arguments[1].annotation})
        try:
            model = typing.get_type_hints(annotated, func.__globals__).get("params")
        except NameError as error:
            raise ExtensionError(self.ext.app_id, where + f"its annotations do not resolve: {error}") from None
        positional = len(arguments) == 2 and arguments[1].kind in _POSITIONAL
        if not (positional and isinstance(model, type) and issubclass(model, BaseModel)):
            raise ExtensionError(
                self.ext.app_id, where + "after ctx comes at most one argument, annotated with a pydantic model"
            )
        return model
