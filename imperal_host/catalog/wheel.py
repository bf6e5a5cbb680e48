"""What a wheel says about itself, read out of the closed file."""

import configparser
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib.metadata import EntryPoint
from pathlib import Path, PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement

from imperal_host.catalog.discovery import EXTENSION_GROUP
from imperal_host.catalog.distributions import applies, is_sdk, normal
from imperal_host.errors import ExtensionLoadError

WHEEL_FILES_MAX = 50_000
_METADATA_BYTES_MAX = 4 << 20


@dataclass(frozen=True, slots=True)
class Point:
    """The one entry point of a wheel in group ``imperal.extensions``."""

    name: str
    module: str
    attribute: str


def size_of(wheel: Path) -> int:
    """Bytes when unpacked. Raises ``ExtensionLoadError`` for what is no proper archive.

    Unpacking a member ends at the size that stands here, so that it may be believed.
    """
    with _opened(wheel) as archive:
        members = archive.infolist()
        if len(members) > WHEEL_FILES_MAX:
            raise ExtensionLoadError(f"{wheel.name} has {len(members)} files; at most {WHEEL_FILES_MAX} are taken")
        for member in members:
            path = PurePosixPath(member.filename)
            if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
                raise ExtensionLoadError(f"{wheel.name} has a file {member.filename!r}, which is outside of it")
        return sum(member.file_size for member in members)


def entry_point(wheel: Path) -> Point:
    """Raises ``ExtensionLoadError`` unless there is exactly one, and it names a module and an attribute."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    try:
        parser.read_string(_metadata(wheel, "entry_points.txt", required=False))
        found = parser.items(EXTENSION_GROUP) if parser.has_section(EXTENSION_GROUP) else []
    except configparser.Error as error:
        raise ExtensionLoadError(f"the entry points of {wheel.name} cannot be read: {error}") from None
    if len(found) != 1:
        count = "none" if not found else ", ".join(name for name, _ in found)
        raise ExtensionLoadError(f"{wheel.name} must declare one entry point in {EXTENSION_GROUP!r}, and has: {count}")
    [(name, value)] = found
    if not (match := EntryPoint.pattern.fullmatch(value)) or not match["attr"]:
        raise ExtensionLoadError(f"the entry point {name} of {wheel.name} is {value!r}, not module:attribute")
    return Point(name, match["module"], match["attr"])


def requirements(wheel: Path, extras: frozenset[str] = frozenset()) -> list[Requirement]:
    """What it requires here and with these extras; the SDK is left out. Raises ``ExtensionLoadError``."""
    found = HeaderParser().parsestr(_metadata(wheel, "METADATA")).get_all("Requires-Dist") or []
    return chosen(found, wheel.name, extras)


def chosen(lines: list[str], whose: str, extras: frozenset[str] = frozenset()) -> list[Requirement]:
    """Those of the requirements that hold here, without the SDK. Raises ``ExtensionLoadError``."""
    wanted = []
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            raise ExtensionLoadError(f"{whose} requires {line!r}, which is no requirement") from None
        if applies(requirement, extras) and not is_sdk(requirement):
            requirement.marker = None
            wanted.append(requirement)
    return wanted


def distribution_of(wheel: Path) -> str:
    """The name of its distribution, as its file is named."""
    return normal(wheel.name.partition("-")[0])


def _metadata(wheel: Path, name: str, *, required: bool = True) -> str:
    with _opened(wheel) as archive:
        found = [
            member
            for member in archive.infolist()
            if (path := PurePosixPath(member.filename)).name == name
            and len(path.parts) == 2
            and path.parts[0].endswith(".dist-info")
        ]
        if len(found) > 1 or (required and not found):
            raise ExtensionLoadError(f"{wheel.name} has {len(found)} files {name}, not one")
        if not found:
            return ""
        if found[0].file_size > _METADATA_BYTES_MAX:
            raise ExtensionLoadError(f"the file {name} of {wheel.name} is too large")
        try:
            return archive.read(found[0]).decode()
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RuntimeError) as error:
            raise ExtensionLoadError(f"the file {name} of {wheel.name} cannot be read: {error}") from None


def _opened(wheel: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(wheel)
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise ExtensionLoadError(f"{wheel.name} is no wheel: {error}") from None
