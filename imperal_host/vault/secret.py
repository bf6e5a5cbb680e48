"""A value that never prints itself."""

from typing import NoReturn

PREFIX_CHARACTERS = 8
LONG_KEY_CHARACTERS = 24


class Secret:
    """Holds a key. ``reveal`` is called in the gateway's egress and in the vault's sealing, nowhere else."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "<Secret>"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")

    def __bool__(self) -> bool:
        return bool(self._value)

    def reveal(self) -> str:
        return self._value

    def display_prefix(self) -> str:
        """What may be shown: 8 characters of a long key, fewer (a third at most) of a short one."""
        length = len(self._value)
        shown = PREFIX_CHARACTERS if length >= LONG_KEY_CHARACTERS else min(length // 3, PREFIX_CHARACTERS)
        return self._value[:shown]
