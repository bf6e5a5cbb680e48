"""A KEK wrapped by HashiCorp Vault's transit engine (https://developer.hashicorp.com/vault/api-docs/secret/transit).

``vault-transit:MOUNT/KEY``. The database keeps the KEK as Vault has encrypted it; Vault is asked once for each process
and KEK. ``keys rewrap`` also asks it to renew that under the newest version of its own key.
"""

import base64
import os
from typing import Any

import httpx

from imperal_host.errors import SealedError, SetupError
from imperal_host.vault.barrier import KEY_BYTES
from imperal_host.vault.kek import Kek
from imperal_host.vault.sources import NOT_MINE, NotMine

_SCHEME = "vault-transit:"


class TransitSource:
    """``token`` is Vault's, asked for when it is needed; ``seconds_max`` bounds each request."""

    def __init__(self, address: str, token: str | None, seconds_max: float) -> None:
        self._address = address.rstrip("/")
        self._token = token
        self._seconds_max = seconds_max

    def load(self, location: str, kept: bytes) -> Kek | NotMine:
        if not location.startswith(_SCHEME):
            return NOT_MINE
        plain = self._ask("decrypt", location, {"ciphertext": kept.decode()}, "plaintext")
        try:
            return Kek(base64.b64decode(plain, validate=True))
        except (ValueError, AssertionError):
            raise SealedError(f"{location}: what it decrypted to is no KEK") from None

    def create(self, location: str) -> tuple[Kek, bytes] | NotMine:
        if not location.startswith(_SCHEME):
            return NOT_MINE
        key = os.urandom(KEY_BYTES)
        plaintext = base64.b64encode(key).decode()
        return Kek(key), self._ask("encrypt", location, {"plaintext": plaintext}, "ciphertext").encode()

    def renew(self, location: str, kept: bytes) -> bytes | NotMine:
        if not location.startswith(_SCHEME):
            return NOT_MINE
        return self._ask("rewrap", location, {"ciphertext": kept.decode()}, "ciphertext").encode()

    def _ask(self, what: str, location: str, body: dict[str, str], wanted: str) -> str:
        """Raises ``SetupError`` and ``SealedError``, which tell neither token nor key."""
        mount, _, name = location.removeprefix(_SCHEME).partition("/")
        if not (mount and name) or "/" in name:
            raise SetupError(f"{location}: write {_SCHEME}MOUNT/KEY")
        if not self._token:
            raise SetupError(f"{location} needs Vault's token in the environment; see IMPERAL_VAULT_TOKEN_VARIABLE")
        try:
            answer = httpx.post(
                f"{self._address}/v1/{mount}/{what}/{name}",
                json=body,
                headers={"x-vault-token": self._token},
                timeout=self._seconds_max,
                trust_env=False,
            )
        except httpx.HTTPError as error:
            raise SetupError(f"{self._address} does not answer ({type(error).__name__})") from None
        found = _text(answer, wanted)
        if found is None:
            raise SealedError(f"{location}: {self._address} answered {answer.status_code} to {what}")
        return found


def _text(answer: httpx.Response, wanted: str) -> str | None:
    if answer.status_code != 200:
        return None
    try:
        data: Any = answer.json()["data"][wanted]
    except (ValueError, KeyError, TypeError):
        return None
    return data if isinstance(data, str) else None
