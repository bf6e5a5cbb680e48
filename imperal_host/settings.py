"""The operator's settings: defaults, overridden by ``IMPERAL_*`` environment variables."""

import os
import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import AfterValidator, DirectoryPath, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_APP = "imperal-host"
_ENDPOINT = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+):([0-9]{1,5})")


def _endpoint(value: str) -> str:
    lower = value.lower()
    found = _ENDPOINT.fullmatch(lower)
    if found is None or not 0 < int(found[2]) < 2**16:
        raise ValueError("neither a network (10.1.0.0/16) nor host:port (ollama.lan:11434)")
    return lower


Endpoint = Annotated[str, AfterValidator(_endpoint)]


class Settings(BaseSettings):
    """Every bound has its unit last in its name. README lists the main ones."""

    model_config = SettingsConfigDict(env_prefix="IMPERAL_", extra="forbid", frozen=True)

    data_dir: Path = Field(default_factory=lambda: platformdirs.user_data_path(_APP))
    kek_file: Path = Field(default_factory=lambda: platformdirs.user_config_path(_APP) / "kek")
    # The key that the ledger is signed with; beside the KEK if it is not named.
    ledger_key_file: Path | None = None
    # Where signed checkpoints are kept so that putting back an older ledger is noticed: a file, or an address.
    witness_file: Path | None = None
    witness_url: str | None = None
    # Where the first KEK is made, if not in kek_file: file:PATH, env:NAME, keyring:SERVICE/NAME or
    # vault-transit:MOUNT/KEY.
    kek: str = ""
    vault_address: str = "https://127.0.0.1:8200"
    # The name of the environment variable that holds Vault's token.
    vault_token_variable: str = "VAULT_TOKEN"  # noqa: S105
    vault_seconds_max: float = Field(5.0, gt=0)
    cache_dir: Path = Field(default_factory=lambda: platformdirs.user_cache_path(_APP))
    extensions_dir: DirectoryPath | None = None
    # Watch the files below extensions_dir while serving, and load anew what changes.
    reload: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    # README, 'The sandbox': what each tier holds. A layer that does not hold means no launch.
    sandbox: Literal["strict", "no-namespaces", "none"] = "strict"
    # Private addresses that models may be reached at (networks, or host:port); everything else must be public.
    private_networks: Annotated[tuple[IPv4Network | IPv6Network | Endpoint, ...], NoDecode] = ()

    call_seconds_max: float = Field(120.0, gt=0)
    # One model call: until its first byte, between two pieces, in all. Models at home (the embedded one, and what
    # private_networks allows) may take longer; a call's own bound is call_seconds_max.
    upstream_first_byte_seconds_max: float = Field(100.0, gt=0)
    upstream_idle_seconds_max: float = Field(60.0, gt=0)
    upstream_seconds_max: float = Field(110.0, gt=0)
    local_first_byte_seconds_max: float = Field(1_800.0, gt=0)
    local_idle_seconds_max: float = Field(600.0, gt=0)
    local_seconds_max: float = Field(3_600.0, gt=0)
    # Tries of one target, where failing cannot have done anything; and what one model call waits between them.
    upstream_tries_max: int = Field(3, gt=0)
    upstream_retry_seconds_max: float = Field(15.0, ge=0)
    upstream_bytes_max: int = Field(8 << 20, gt=0)
    launch_seconds_max: float = Field(20.0, gt=0)
    body_bytes_max: int = Field(2 << 20, gt=0)
    asks_per_call_max: int = Field(1_000, gt=0)
    isolates_max: int = Field(64, gt=0)
    isolates_per_principal_max: int = Field(8, gt=0)
    isolates_spare: int = Field(1, ge=0)
    isolate_wait_seconds_max: float = Field(5.0, ge=0)
    isolate_idle_seconds_max: float = Field(300.0, gt=0)
    isolate_age_seconds_max: float = Field(3_600.0, gt=0)
    isolate_calls_max: int = Field(100_000, gt=0)
    isolate_calls_at_once_max: int = Field(8, gt=0)
    isolate_failures_max: int = Field(3, gt=0)
    isolate_resting_memory_bytes_max: int = Field(256 << 20, gt=0)
    isolate_memory_bytes_max: int = Field(512 << 20, gt=0)
    isolate_cpu_seconds_max: int = Field(600, gt=0)
    isolate_scratch_bytes_max: int = Field(16 << 20, gt=0)
    # One installed extension with all that it requires, unpacked.
    extension_bytes_max: int = Field(1 << 30, gt=0)

    # Nano-USD a token, for platform models without a row in the price table.
    price_input_nano_usd: int = Field(150, ge=0)
    price_output_nano_usd: int = Field(600, ge=0)
    # Nano-USD a token, for calls that a project's Custom LLM answers, whatever it is.
    custom_llm_input_nano_usd: int = Field(100, ge=0)
    custom_llm_output_nano_usd: int = Field(400, ge=0)
    # What one user may spend on platform models in all; unlimited when unset.
    user_budget_nano_usd: int | None = Field(None, ge=0)

    @field_validator("private_networks", mode="before")
    @classmethod
    def _by_commas(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @property
    def database_file(self) -> Path:
        return self.data_dir / "host.sqlite3"

    @property
    def signing_key_file(self) -> Path:
        return self.ledger_key_file or self.kek_file.with_name(self.kek_file.name + "-ledger")

    @property
    def installed_dir(self) -> Path:
        """The extensions that ``imperal-host extension`` keeps."""
        return self.data_dir / "extensions"


def variable(name: str) -> str | None:
    """An environment variable that a setting names, for what must not be in a setting itself."""
    return os.environ.get(name)
