"""The operator's folder of extensions, where it lies or as copies that an edit does not touch."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from imperal_host.catalog.discovery import folders_in, from_folder
from imperal_host.catalog.folder import copy, stamp
from imperal_host.catalog.installed import Installed, seal
from imperal_host.errors import ExtensionLoadError, SetupError
from imperal_host.identity import Package


@dataclass(frozen=True, slots=True)
class Candidate:
    """A package that was found; its files stay until ``release`` is called."""

    package: Package
    release: Callable[[], object]


class FolderSource(Protocol):
    def find(self, failures: dict[str, str]) -> list[Candidate]: ...

    def stamp(self) -> object:
        """Differs when anything has changed that ``find`` would find."""
        ...


class Folders:
    """As they lie there, found once: what is edited is seen by isolates that start after that."""

    def __init__(self, parent: Path | None) -> None:
        self._parent = parent

    def find(self, failures: dict[str, str]) -> list[Candidate]:
        paths = folders_in(self._parent, failures) if self._parent else []
        return [Candidate(from_folder(path), _nothing) for path in paths]

    def stamp(self) -> object:
        return None


class CopiedFolders:
    """A copy of each, made anew when a file of it changes: half an edit never reaches a version in service."""

    def __init__(self, parent: Path, installed: Installed) -> None:
        self._parent = parent
        self._installed = installed
        self._copies: dict[Path, tuple[Candidate, ExitStack]] = {}

    def stamp(self) -> object:
        return [(path, _stamp_or_reason(path)) for path in folders_in(self._parent, {})]

    def find(self, failures: dict[str, str]) -> list[Candidate]:
        paths = folders_in(self._parent, failures)
        found = []
        for path in paths:
            try:
                found.append(self._copy_of(path))
            except (ExtensionLoadError, SetupError) as error:
                failures[path.resolve().name] = str(error)
        for gone in self._copies.keys() - set(paths):
            del self._copies[gone]
        return found

    def _copy_of(self, path: Path) -> Candidate:
        now = stamp(path)
        if path in self._copies and self._copies[path][0].package.revision == now:
            return self._copies[path][0]
        self._copies[path] = self._make(path, now)
        return self._copies[path][0]

    def _make(self, path: Path, now: str) -> tuple[Candidate, ExitStack]:
        original = from_folder(path)
        with ExitStack() as stack:
            place = stack.enter_context(self._installed.making()) / original.name
            copy(path, place)
            seal(place)
            kept = stack.pop_all()
        mounts = tuple(
            (str(place) if outside == str(path.resolve()) else outside, inside) for outside, inside in original.mounts
        )
        return Candidate(replace(original, mounts=mounts, revision=now), partial(self._release, path, kept)), kept

    def _release(self, path: Path, kept: ExitStack) -> None:
        if path in self._copies and self._copies[path][1] is kept:
            del self._copies[path]  # it may be found again, and then needs a copy again
        kept.close()


def _stamp_or_reason(path: Path) -> str:
    try:
        return stamp(path)
    except ExtensionLoadError as error:
        return str(error)


def _nothing() -> None:
    """Files that are the operator's own stay anyway."""
