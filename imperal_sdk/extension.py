"""``Extension``: what an author declares. It collects and does nothing else."""

from typing import TYPE_CHECKING

from imperal_sdk.errors import ExtensionError

if TYPE_CHECKING:
    from imperal_sdk.chat.extension import ChatExtension, FunctionDef


class Extension:
    """One extension. Its id, version and functions become the manifest the host reads.

    ``migrations_dir``, ``actions_explicit`` and ``system`` are the published SDK's and mean nothing here yet.
    Raises ``ExtensionError`` when an argument has the wrong type; patterns are
    checked when the manifest is made.
    """

    def __init__(
        self,
        app_id: str,
        version: str = "0.1.0",
        capabilities: list[str] | None = None,
        migrations_dir: str | None = None,
        config_defaults: dict[str, object] | None = None,
        *,
        display_name: str = "",
        description: str = "",
        icon: str = "",
        actions_explicit: bool = True,
        system: bool = False,
    ) -> None:
        for name, value in (("app_id", app_id), ("version", version), ("display_name", display_name)):
            if not isinstance(value, str):
                raise ExtensionError(str(app_id), f"{name} is a string, not {type(value).__name__}")
        self.app_id = app_id
        self.version = version
        self.capabilities = list(capabilities or [])
        self.display_name = display_name
        self.description = description
        self.icon = icon
        self.config_defaults = dict(config_defaults or {})
        self._chats: list[ChatExtension] = []

    def attach(self, chat: "ChatExtension") -> None:
        self._chats.append(chat)

    @property
    def functions(self) -> "dict[str, FunctionDef]":
        """Every declared function by name, over all ``ChatExtension``s of this extension."""
        return {name: function for chat in self._chats for name, function in chat.functions.items()}
