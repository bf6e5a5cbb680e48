"""``ActionResult``: what a function answers."""

from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

T = TypeVar("T")


@dataclass
class ActionResult(Generic[T]):
    """The outcome of one call, in the published SDK's shape.

    ``action_receipt`` is filled by the host; what an extension puts there is overwritten.
    """

    status: Literal["success", "error"]
    data: T | dict[str, Any] = field(default_factory=dict)
    summary: str = ""
    # Shadowed by the ``error`` constructor below until an instance sets it, as in the published SDK.
    error: Any = None
    retryable: bool = False
    ui: Any | None = None
    refresh_panels: list[str] | None = None
    error_code: str = ""
    undo: Any | None = None
    diff: dict[str, Any] | None = None
    action_receipt: str | None = None

    @staticmethod
    def success(
        data: Any,
        summary: str = "",
        *,
        ui: Any | None = None,
        refresh_panels: list[str] | None = None,
        undo: Any | None = None,
        diff: dict[str, Any] | None = None,
        action_receipt: str | None = None,
    ) -> "ActionResult[Any]":
        return ActionResult(
            status="success",
            data=data,
            summary=summary,
            error=None,
            ui=ui,
            refresh_panels=refresh_panels,
            undo=undo,
            diff=diff,
            action_receipt=action_receipt,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready. Optional members that were not set are absent."""
        body: dict[str, Any] = {"status": self.status, "summary": self.summary, "data": _plain(self.data)}
        if isinstance(self.error, str):
            body["error"] = self.error
        for name in ("error_code", "retryable"):
            if getattr(self, name):
                body[name] = getattr(self, name)
        for name in ("ui", "refresh_panels", "undo", "diff", "action_receipt"):
            if getattr(self, name) is not None:
                body[name] = _plain(getattr(self, name))
        return body

    @staticmethod
    def from_dict(body: dict[str, Any]) -> "ActionResult[dict[str, Any]]":
        known = set(ActionResult.__dataclass_fields__)
        said = {name: value for name, value in body.items() if name in known}
        return ActionResult(**{"status": "error", "error": None, **said})


def _error(error: str, retryable: bool = False, *, code: str = "") -> ActionResult[Any]:
    """A failure that the author chose to report. ``code`` is a stable upper-case word."""
    return ActionResult(status="error", error=error, retryable=retryable, error_code=code)


# A dataclass field and a static method share the name ``error``: the field is declared above, the
# constructor is put on the class once the dataclass is made. Every instance carries its own ``error``.
ActionResult.error = staticmethod(_error)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    return value
