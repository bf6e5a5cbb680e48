"""Fetch an extension and all that it requires into a directory of its own. Nothing of it runs here.

Each extension has its own ``site``, so that two may need different versions of a library. The SDK is never in it, nor
what the SDK imports (pydantic, msgspec and theirs): these are the host's, because the zygote imports them, which
imports nothing of an extension's. An extension that requires another version of one of them is refused.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement

from imperal_host.catalog import folder, pip, wheel
from imperal_host.catalog.discovery import MAIN_FILE, package_of
from imperal_host.catalog.distributions import is_sdk, sdk_pins
from imperal_host.catalog.installed import FOLDER_PART, SITE_PART, seal
from imperal_host.errors import ExtensionLoadError, InvalidError
from imperal_host.identity import Package

_BUILD_NEEDED = (
    "it has to be built, and build scripts would run here, outside the sandbox; if you trust them: --allow-build"
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where an extension comes from: ``value`` is an absolute path, or a requirement as pip understands it."""

    kind: Literal["folder", "wheel", "requirement"]
    value: str
    allow_build: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """Complete files that nobody uses yet. ``app_id`` is empty for a folder: only its manifest tells it."""

    source: Source
    files: Path
    content: str
    app_id: str
    module: str
    attribute: str

    def package(self, name: str) -> Package:
        """To load it from where the files lie now."""
        origin = f"{self.source.kind} {self.source.value}"
        return package_of(name, self.app_id, self.module, self.attribute, self.files, origin)


def source_of(text: str, *, allow_build: bool) -> Source:
    """Raises ``InvalidError`` for what is neither a wheel, nor a folder, nor a requirement."""
    path = Path(text).expanduser()
    try:
        if path.is_dir() and ("/" in text or not _is_requirement(text)):
            return Source("folder", str(path.resolve()), allow_build)
        if text.endswith(".whl") and "@" not in text:
            if not path.is_file():
                raise InvalidError(f"there is no wheel {text}")
            return Source("wheel", str(path.resolve()), allow_build)
        if path.is_file():
            if not allow_build:
                raise InvalidError(f"{text} is no wheel: {_BUILD_NEEDED}")
            return Source("wheel", str(path.resolve()), allow_build)
    except OSError as error:
        raise InvalidError(f"{text!r} cannot be read: {error.strerror}") from None
    if not _is_requirement(text):
        raise InvalidError(f"{text!r} is neither a wheel, nor a folder, nor a requirement like 'name>=1.2'")
    return Source("requirement", text, allow_build)


def prepare(source: Source, place: Path, bytes_max: int) -> Prepared:
    """Fetch and unpack into ``place``, which is empty.

    Raises ``ExtensionLoadError``, ``InvalidError`` (a build that is not allowed) or ``SetupError`` (pip's reason).
    """
    files = place / "files"
    files.mkdir()
    (files / SITE_PART).mkdir()
    where = Path(source.value)
    if source.kind == "folder" and not folder.needs_build(where):
        return _from_folder(source, place, files, bytes_max)
    if source.kind == "folder" and not source.allow_build:
        raise InvalidError(f"{source.value} is a project: {_BUILD_NEEDED}")
    own = _own_wheel(source, place / "own")
    point = wheel.entry_point(own)
    extras = frozenset(Requirement(source.value).extras) if source.kind == "requirement" else frozenset()
    needed = _collect(wheel.requirements(own, extras), place / "wheels", allow_build=source.allow_build)
    _unpack([own, *needed], files / SITE_PART, bytes_max)
    return Prepared(source, files, seal(files), point.name, point.module, point.attribute)


def _from_folder(source: Source, place: Path, files: Path, bytes_max: int) -> Prepared:
    where = Path(source.value)
    if not (where / MAIN_FILE).is_file():
        raise InvalidError(f"{where} is no extension: it has no {MAIN_FILE}")
    folder.copy(where, files / FOLDER_PART)
    lines = _listed(files / FOLDER_PART / "requirements.txt")
    needed = _collect(wheel.chosen(lines, "requirements.txt"), place / "wheels", allow_build=source.allow_build)
    _unpack(needed, files / SITE_PART, bytes_max)
    return Prepared(source, files, seal(files), "", MAIN_FILE.removesuffix(".py"), "")


def _listed(file: Path) -> list[str]:
    """The requirements in a file; options of pip's are none: which index is used is this machine's business."""
    if not file.is_file() or file.is_symlink():
        return []
    try:
        lines = [line.partition(" #")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise ExtensionLoadError(f"requirements.txt cannot be read: {error}") from None
    return [line for line in lines if line and not line.startswith("#")]


def _own_wheel(source: Source, into: Path) -> Path:
    into.mkdir()
    pip.collect([source.value], into, "--no-deps", allow_build=source.allow_build)
    found = list(into.glob("*.whl"))
    assert len(found) == 1, "pip succeeded, and one wheel was asked for"
    return found[0]


def _collect(wanted: list[Requirement], into: Path, *, allow_build: bool) -> list[Path]:
    """Wheels of all of these, and of all they require."""
    if not wanted:
        return []
    lines = [str(requirement) for requirement in wanted]
    pip.collect(lines, into, allow_build=allow_build)
    pins = sdk_pins()
    if {wheel.distribution_of(found) for found in into.glob("*.whl")} & pins.keys():
        # One of the SDK's own: what is installed must suit the version that will be there.
        shutil.rmtree(into)
        pip.collect([*lines, *pins.values()], into, allow_build=allow_build)
    return sorted(found for found in into.glob("*.whl") if not _is_there(wheel.distribution_of(found), pins))


def _is_there(name: str, pins: dict[str, str]) -> bool:
    return name in pins or is_sdk(Requirement(name))


def _unpack(wheels: list[Path], into: Path, bytes_max: int) -> None:
    size = sum(map(wheel.size_of, wheels))
    if size > bytes_max:
        raise ExtensionLoadError(
            f"unpacked it is {size >> 20} MiB; at most {bytes_max >> 20} are taken (IMPERAL_EXTENSION_BYTES_MAX)"
        )
    if wheels:
        pip.unpack(wheels, into)


def _is_requirement(text: str) -> bool:
    try:
        Requirement(text)
    except InvalidRequirement:
        return False
    return True
