"""The extensions that can be called, and those that could not be loaded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points

import pluggy

from imperal_host.catalog.hookspecs import PROJECT, Hooks, hookimpl
from imperal_host.errors import NotFoundError, SetupError
from imperal_host.identity import Package
from imperal_sdk.manifest import FunctionManifest, Manifest

HOST_PLUGIN_GROUP = "imperal.host"


@dataclass(frozen=True)
class ExtensionHandle:
    """What pluggy holds of an extension: data, no code of its author's."""

    package: Package
    manifest: Manifest

    @hookimpl
    def imperal_extension(self) -> tuple[Package, Manifest]:
        return self.package, self.manifest

    def function(self, name: str) -> FunctionManifest:
        """Raises ``NotFoundError`` with the names there are."""
        found = self.manifest.function(name)
        if found is None:
            names = ", ".join(function.name for function in self.manifest.functions) or "none"
            raise NotFoundError(f"{self.manifest.app_id} has no function {name!r}; it has: {names}")
        return found


class Catalog:
    def __init__(self) -> None:
        self._plugins = pluggy.PluginManager(PROJECT)
        self._plugins.add_hookspecs(Hooks)
        self._packages: set[str] = set()
        self.failures: dict[str, str] = {}

    def load_host_plugins(self) -> int:
        """Import the operator's own plugins. Raises ``SetupError`` naming the one that fails."""
        loaded = 0
        for name in sorted(entry_points(group=HOST_PLUGIN_GROUP).names):
            try:
                loaded += self._plugins.load_setuptools_entrypoints(HOST_PLUGIN_GROUP, name)
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
                raise SetupError(f"the host plugin {name} cannot be loaded: {why}") from error
        return loaded

    def register(self, package: Package, manifest: Manifest) -> None:
        """Make an extension callable. One that may not be is remembered in ``failures``."""
        if package.known_as and manifest.app_id != package.known_as:
            what = "its entry point is named" if package.attribute else "it was installed as"
            self.failures[package.name] = f"{what} {package.known_as!r}, its id is {manifest.app_id!r}"
        elif self._plugins.has_plugin(manifest.app_id):
            self.failures[package.name] = f"another extension has the id {manifest.app_id!r} already"
        elif package.name in self._packages:
            self.failures[package.name] = f"another extension's package or folder is named {package.name!r} already"
        else:
            self._packages.add(package.name)
            self._plugins.register(ExtensionHandle(package, manifest), name=manifest.app_id)

    def replace(self, found: Iterable[tuple[Package, Manifest]], failures: Mapping[str, str]) -> list[Package]:
        """Make these and no others callable, in one step for everybody on the loop; answers those that are."""
        for name, plugin in self._plugins.list_name_plugin():
            if isinstance(plugin, ExtensionHandle):
                self._plugins.unregister(name=name)
        self._packages.clear()
        self.failures = dict(failures)
        for package, manifest in found:
            self.register(package, manifest)
        return [package for package, _ in self._plugins.hook.imperal_extension()]

    def get(self, app_id: str) -> ExtensionHandle:
        """Raises ``NotFoundError``."""
        handle = self._plugins.get_plugin(app_id)
        if isinstance(handle, ExtensionHandle):
            return handle
        if app_id in self.failures:
            raise NotFoundError(f"extension {app_id!r} could not be loaded: {self.failures[app_id]}")
        names = ", ".join(manifest.app_id for manifest in self.all()) or "none"
        raise NotFoundError(f"there is no extension {app_id[:64]!r}; there are: {names}")

    def all(self) -> list[Manifest]:
        found: list[tuple[Package, Manifest]] = self._plugins.hook.imperal_extension()
        return sorted((manifest for _, manifest in found), key=lambda manifest: manifest.app_id)

    def vendors(self) -> list[object]:
        """What host plugins declared."""
        return [vendor for vendors in self._plugins.hook.imperal_vendors() for vendor in vendors]

    def prices(self) -> dict[str, tuple[int, int]]:
        declared: list[Mapping[str, tuple[int, int]]] = self._plugins.hook.imperal_prices()
        return {model: price for prices in reversed(declared) for model, price in prices.items()}
