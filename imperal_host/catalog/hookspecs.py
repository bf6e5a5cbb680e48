"""What a plugin may declare."""

from collections.abc import Mapping, Sequence

import pluggy

from imperal_host.identity import Package
from imperal_sdk.manifest import Manifest

PROJECT = "imperal"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    @hookspec
    def imperal_extension(self) -> tuple[Package, Manifest]:  # type: ignore[empty-body]
        """Extensions: where the code is, and what it says about itself."""

    @hookspec
    def imperal_vendors(self) -> Sequence[object]:  # type: ignore[empty-body]
        """Host plugins: more values of a binding's ``provider``
        (``imperal_host.gateway.providers.base.Vendor``)."""

    @hookspec
    def imperal_prices(self) -> Mapping[str, tuple[int, int]]:  # type: ignore[empty-body]
        """Host plugins: by model, nano-USD for an input token and for an output token."""
