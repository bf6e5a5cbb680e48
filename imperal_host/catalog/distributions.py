"""Where installed packages lie on disk, by their metadata: nothing is imported."""

import importlib.machinery
import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement

import imperal_sdk.manifest
from imperal_host.errors import ExtensionLoadError

# Inside the sandbox: what is trusted (the SDK and what it imports), apart from the extension and its requirements.
SDK = "/sdk"
SITE = "/site"
# What every isolate has: the SDK and what it imports.
SDK_REQUIREMENTS = ("pydantic", "msgspec")
# These names in an extension's requirements mean the SDK itself, which is mounted anyway.
_SDK_DISTRIBUTIONS = {"imperal-host", "imperal-sdk"}
_NEVER_MOUNTED = {"imperal_host", "imperal_sdk", "..", "__pycache__", "bin"}
Mount = tuple[str, str]


def sdk_mounts() -> tuple[Mount, ...]:
    sdk = Path(imperal_sdk.manifest.__file__).parent
    return (*mounts_of(SDK_REQUIREMENTS, SDK), (str(sdk), f"{SDK}/imperal_sdk"))


def sdk_pins() -> dict[str, str]:
    """What the SDK imports, and all that this requires: by name, the requirement of the version that is there."""
    return {_name(found): f"{found.name}=={found.version}" for found in closure_of(SDK_REQUIREMENTS)}


def is_sdk(requirement: Requirement) -> bool:
    """Whether this names the SDK itself, which every isolate has."""
    return normal(requirement.name) in _SDK_DISTRIBUTIONS


def mounts_of(requirements: tuple[str, ...], under: str = SITE) -> tuple[Mount, ...]:
    """The top-level files and folders of these distributions and of all that they require.

    Raises ``ExtensionLoadError`` naming a requirement that is not installed.
    """
    mounts = {mount[1]: mount for found in closure_of(requirements) for mount in top_level_mounts(found, under)}
    return tuple(mounts.values())


def closure_of(requirements: tuple[str, ...]) -> list[Distribution]:
    """These distributions, and all that they require. Raises ``ExtensionLoadError``."""
    closure: list[Distribution] = []
    seen: set[str] = set()
    waiting = [(name, "") for name in requirements]
    while waiting:
        line, wanted_by = waiting.pop()
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            raise ExtensionLoadError(f"{wanted_by or 'it'} requires {line!r}, which names no package") from None
        name = normal(requirement.name)
        if name in seen or is_sdk(requirement) or not applies(requirement):
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            by = f" (required by {wanted_by})" if wanted_by else ""
            raise ExtensionLoadError(f"the requirement {requirement.name}{by} is not installed") from None
        closure.append(found)
        waiting += [(line, name) for line in found.requires or []]
    return closure


def top_level_mounts(found: Distribution, under: str = SITE) -> tuple[Mount, ...]:
    """A distribution's own importable files and folders. Editable installs are followed to their source."""
    # The list of files is the package's own word: what is not below site-packages is none of its business.
    relative = (file for file in found.files or [] if file.parts and not file.is_absolute())
    mounts = []
    for name in sorted({file.parts[0] for file in relative}):
        if not importable(name):
            continue
        path = Path(str(found.locate_file(name)))
        if path.exists():
            mounts.append((str(path), f"{under}/{name}"))
    for module in (found.read_text("top_level.txt") or "").split():
        if module not in _NEVER_MOUNTED and not any(_module_of(inside) == module for _, inside in mounts):
            mounts += [(path, f"{under}/{Path(path).name}") for path in _source_of(module)]
    return tuple(mounts)


def importable(name: str) -> bool:
    """Whether a name at the top of a site directory is for isolates: code or metadata, and none of the host's."""
    return not (
        name in _NEVER_MOUNTED or PurePosixPath(name).suffix in (".pth", ".data") or name.startswith("__editable__")
    )


def _module_of(inside: str) -> str:
    return PurePosixPath(inside).name.split(".")[0]


def _source_of(module: str) -> list[str]:
    """Where a top-level module comes from, asking every finder; finding a top-level name imports nothing."""
    for finder in sys.meta_path:
        spec = finder.find_spec(module, None, None) if hasattr(finder, "find_spec") else None
        if isinstance(spec, importlib.machinery.ModuleSpec):
            if spec.submodule_search_locations:
                return [str(Path(place)) for place in spec.submodule_search_locations][:1]
            return [spec.origin] if spec.origin and Path(spec.origin).is_file() else []
    return []


def applies(requirement: Requirement, extras: frozenset[str] = frozenset()) -> bool:
    """Whether it is meant for this interpreter, with these extras asked for."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in (extras or {""}))


def normal(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(line: str) -> str:
    return normal(Requirement(line).name)


def _name(found: Distribution) -> str:
    return normal(found.name)
