"""The extensions that ``imperal-host extension`` keeps, on disk.

    extensions/.lock                    held while a record changes: an instant, never while pip runs
    extensions/.new-*/                  something in the making; held by its maker
    extensions/<id>/record.json         what is installed: replaced whole, or not at all
    extensions/<id>/<version>-<hash>/   its files: moved here by one rename, never changed after that

A process that may mount a version's files holds its directory. What no record names and nobody holds is swept
by the next command, so that a crash leaves nothing but something to sweep.
"""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from imperal_host.catalog import locks
from imperal_host.errors import IntegrityError, InvalidError, NotFoundError, SetupError
from imperal_sdk.manifest import APP_ID_PATTERN

SITE_PART, FOLDER_PART = "site", "ext"
RECORD = "record.json"
_MAKING, _GOING = ".new-", ".old-"
_MODULE = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"
_RECORD_BYTES_MAX = 64 << 10
_NOTES = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}


class Record(BaseModel):
    """One installed extension. ``attribute`` is empty for a folder; ``source`` is what ``update`` asks for again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=APP_ID_PATTERN)
    version: str
    directory: str = Field(pattern=r"^[0-9][0-9A-Za-z.+-]*-[0-9a-f]{12}$")
    module: str = Field(pattern=_MODULE)
    attribute: str = Field(pattern=rf"^$|{_MODULE}")
    kind: Literal["folder", "wheel", "requirement"]
    source: str
    allow_build: bool
    enabled: bool = True
    installed_at: AwareDatetime


class Installed:
    """All of them. ``root`` need not exist: it is made by the first installation."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> list[str]:
        try:
            places = [p.name for p in self._root.iterdir() if (p / RECORD).is_file()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error) from None
        return sorted(name for name in places if re.fullmatch(APP_ID_PATTERN, name))

    def record(self, app_id: str) -> Record:
        """Raises ``NotFoundError``, and ``IntegrityError`` for a record that nobody wrote here."""
        if not re.fullmatch(APP_ID_PATTERN, app_id):
            raise self._absent(app_id)
        try:
            text = (self._root / app_id / RECORD).read_bytes()[:_RECORD_BYTES_MAX]
        except FileNotFoundError:
            raise self._absent(app_id) from None
        except OSError as error:
            raise self._unusable(error) from None
        try:
            record = Record.model_validate_json(text)
        except ValidationError as error:
            raise IntegrityError(_damaged(app_id, error.errors()[0]["msg"])) from None
        if record.id != app_id:
            raise IntegrityError(_damaged(app_id, f"it is that of {record.id}"))
        return record

    def files_of(self, record: Record) -> Path:
        return self._root / record.id / record.directory

    def stamp(self) -> object:
        """Differs when any record has changed. One small stat an extension."""
        found = []
        for name in self.names():
            try:
                status = (self._root / name / RECORD).stat()
            except OSError:
                continue
            found.append((name, status.st_ino, status.st_mtime_ns))
        return found

    @contextmanager
    def making(self) -> Iterator[Path]:
        """A new directory that lasts as long as this; what was moved out of it stays."""
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._lock():  # a sweeper must not find it before it is held
                place = Path(tempfile.mkdtemp(prefix=_MAKING, dir=self._root))
                hold = locks.take(place)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            yield place
        except OSError as error:
            raise self._unusable(error) from None
        finally:
            shutil.rmtree(place, ignore_errors=True)
            if hold:
                hold.release()

    def put(self, files: Path, record: Record, *, instead_of: Record | None) -> None:
        """Make this the current one: ``files`` is moved in, then the record is replaced.

        Raises ``InvalidError``, and changes nothing, if what is there now is not ``instead_of``.
        """
        with self._lock():
            if self._now(record.id) != instead_of:
                raise InvalidError(f"extension {record.id!r} was changed by somebody else meanwhile; try again")
            target = self.files_of(record)
            target.parent.mkdir(mode=0o700, exist_ok=True)
            if not target.exists():  # else these very bytes are there
                os.sync()  # a record that outlives a power cut names files that do too
                os.rename(files, target)
            self._write(record)
        self.sweep()

    def set_enabled(self, app_id: str, enabled: bool) -> bool:
        """Whether that changed anything. Raises ``NotFoundError``, ``IntegrityError``."""
        record = self.record(app_id)
        with self._lock():
            record = self.record(app_id)
            if record.enabled == enabled:
                return False
            self._write(record.model_copy(update={"enabled": enabled}))
        return True

    def remove(self, app_id: str) -> None:
        """Raises ``NotFoundError``. The files go when nobody holds them any more."""
        if app_id not in self.names():
            raise self._absent(app_id)
        with self._lock():
            (self._root / app_id / RECORD).unlink(missing_ok=True)
            _sync(self._root / app_id)
        self.sweep()

    def sweep(self) -> None:
        """Delete what no record names and nobody holds."""
        with self._lock():
            going = [aside for path in self._leftovers() if (aside := self._set_aside(path))]
        for path in going:
            shutil.rmtree(path, ignore_errors=True)

    def _leftovers(self) -> Iterator[Path]:
        for place in [path for path in self._root.iterdir() if path.is_dir() and not path.is_symlink()]:
            if place.name.startswith((_MAKING, _GOING)):
                yield place
            elif re.fullmatch(APP_ID_PATTERN, place.name):
                try:
                    current = self._now(place.name)
                except IntegrityError:
                    continue  # somebody has to look at it: nothing is thrown away
                yield from [path for path in place.iterdir() if path.is_dir() and not _is_of(current, path)]
                if current is None:
                    _remove_if_empty(place)

    def _set_aside(self, path: Path) -> Path | None:
        """Out of the way by one rename, so that a version's directory is whole or not there. Nothing if it is held."""
        if not (hold := locks.take(path)):
            return None
        try:
            aside = Path(tempfile.mkdtemp(prefix=_GOING, dir=self._root))
            os.rename(path, aside / "files")
            return aside
        except OSError:  # somebody was faster
            return None
        finally:
            hold.release()

    def _now(self, app_id: str) -> Record | None:
        try:
            return self.record(app_id)
        except NotFoundError:
            return None

    def _write(self, record: Record) -> None:
        file = self._root / record.id / RECORD
        partial = file.with_name(f".{RECORD}.new")
        with partial.open("wb") as writing:
            writing.write(record.model_dump_json(indent=1).encode() + b"\n")
            writing.flush()
            os.fsync(writing.fileno())
        os.replace(partial, file)
        _sync(file.parent)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            with locks.alone(self._root / ".lock"):
                yield
        except OSError as error:
            raise self._unusable(error) from None

    def _absent(self, app_id: str) -> NotFoundError:
        names = ", ".join(self.names()) or "none"
        return NotFoundError(f"no extension {app_id[:64]!r} is installed; there are: {names}")

    def _unusable(self, error: OSError) -> SetupError:
        return SetupError(f"{self._root} cannot be used: {error.strerror or error}; see IMPERAL_DATA_DIR")


def seal(files: Path) -> str:
    """Make the files readable for isolates and writable for nobody else; answers a hash of what they are.

    What pip notes about an installation, and what it compiles, is no part of the hash: the same wheels have the same.
    """
    digest = hashlib.sha256()
    for place, folders, names in os.walk(files):
        folders.sort()
        os.chmod(place, 0o755)  # noqa: S103  (isolates have ids of their own)
        here = os.path.relpath(place, files)
        for name in sorted([*names, *(f for f in folders if os.path.islink(os.path.join(place, f)))]):
            path = os.path.join(place, name)
            if os.path.islink(path):
                digest.update(f"{here!r} {name!r} -> {os.readlink(path)!r}\n".encode(errors="surrogateescape"))
                continue
            os.chmod(path, 0o755 if os.stat(path).st_mode & 0o100 else 0o644)
            if not (os.path.basename(place) == "__pycache__" or (here.endswith(".dist-info") and name in _NOTES)):
                with open(path, "rb") as reading:
                    content = hashlib.file_digest(reading, "sha256").hexdigest()
                digest.update(f"{here!r} {name!r} {content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:12]


def _is_of(record: Record | None, path: Path) -> bool:
    return record is not None and path.name == record.directory


def _remove_if_empty(place: Path) -> None:
    with contextlib.suppress(OSError):
        (place / f".{RECORD}.new").unlink(missing_ok=True)
        place.rmdir()


def _damaged(app_id: str, why: str) -> str:
    return f"the record of extension {app_id} is damaged: {why}; remove it and add it again"


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
