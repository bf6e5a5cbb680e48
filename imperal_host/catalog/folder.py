"""An extension's folder: what of it belongs to the extension, a stamp that changes with it, and a copy of it."""

import hashlib
import os
import shutil
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path

from imperal_host.errors import ExtensionLoadError

FOLDER_FILES_MAX = 5_000
FOLDER_BYTES_MAX = 64 << 20
_DEPTH_MAX = 32
_NEVER_COPIED = {"__pycache__", "venv", "node_modules"}


def needs_build(folder: Path) -> bool:
    """Whether it is a project to be built. A ``pyproject.toml`` that only sets up tools makes none."""
    if any((folder / name).is_file() for name in ("setup.py", "setup.cfg")):
        return True
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise ExtensionLoadError(f"{folder}/pyproject.toml cannot be read: {error}") from None
    return "project" in project or "build-system" in project


def stamp(folder: Path) -> str:
    """Changes whenever a file of it does: names, times, sizes. Reads no file. Raises ``ExtensionLoadError``."""
    digest = hashlib.sha256()
    for entry, status in _files(folder):
        kept = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode)
        digest.update(f"{os.path.relpath(entry.path, folder)!r} {kept}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:12]


def copy(folder: Path, to: Path) -> None:
    """Copy what belongs to the extension into ``to``, a new directory. Raises ``ExtensionLoadError``.

    Names that begin with a dot (``.git``, ``.venv``, ``.env``) and caches stay behind. A symbolic link that
    leads out of the folder is refused, and so is what is neither file, folder nor link.
    """
    root = os.path.realpath(folder)
    to.mkdir()
    size = 0
    for entry, status in _files(folder):
        target = to / os.path.relpath(entry.path, folder)
        if entry.is_symlink():
            real = os.path.realpath(entry.path)
            if os.path.isabs(os.readlink(entry.path)) or os.path.commonpath([root, real]) != root:
                raise ExtensionLoadError(f"{entry.path} is a link that leads out of the folder")
            target.symlink_to(os.readlink(entry.path))
        elif entry.is_dir(follow_symlinks=False):
            target.mkdir()
        elif stat.S_ISREG(status.st_mode):
            size += status.st_size
            if size > FOLDER_BYTES_MAX:
                raise ExtensionLoadError(f"{folder} holds over {FOLDER_BYTES_MAX >> 20} MiB")
            _copy_file(Path(entry.path), target)
        else:
            raise ExtensionLoadError(f"{entry.path} is neither a file nor a folder")


def _files(folder: Path) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """All that belongs to the extension, parents first, in one order."""
    waiting, count = [(os.fspath(folder), 0)], 0
    try:
        while waiting:
            place, depth = waiting.pop()
            with os.scandir(place) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
            for entry in found:
                if entry.name.startswith(".") or entry.name in _NEVER_COPIED:
                    continue
                count += 1
                if count > FOLDER_FILES_MAX or depth > _DEPTH_MAX:
                    raise ExtensionLoadError(f"{folder} holds over {FOLDER_FILES_MAX} files, or is too deep")
                yield entry, entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, depth + 1))
    except OSError as error:
        raise ExtensionLoadError(f"{error.filename or folder} cannot be read: {error.strerror}") from None


def _copy_file(source: Path, target: Path) -> None:
    try:
        # Not what somebody put in its place since it was looked at.
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as reading, target.open("xb") as writing:
            shutil.copyfileobj(reading, writing)
    except OSError as error:
        raise ExtensionLoadError(f"{source} cannot be copied: {error.strerror}") from None
