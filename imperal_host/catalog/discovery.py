"""Find extensions: entry points of packages beside the host, installed ones, folders. Metadata and names only."""

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from imperal_host.catalog.distributions import (
    SITE,
    importable,
    mounts_of,
    sdk_mounts,
    top_level_mounts,
)
from imperal_host.catalog.installed import FOLDER_PART, SITE_PART
from imperal_host.errors import ExtensionLoadError
from imperal_host.identity import Package

EXTENSION_GROUP = "imperal.extensions"
MAIN_FILE = "main.py"
_FOLDER = "/ext"


def discover(folder: Path | None = None) -> tuple[list[Package], dict[str, str]]:
    """All packages beside the host and folders, and by name why one that was found cannot be used."""
    packages, failures = beside_the_host()
    for path in folders_in(folder, failures) if folder else []:
        packages.append(from_folder(path))
    return packages, failures


def beside_the_host() -> tuple[list[Package], dict[str, str]]:
    """Packages of the host's own environment, and by name why one cannot be used."""
    packages: list[Package] = []
    failures: dict[str, str] = {}
    for point in entry_points(group=EXTENSION_GROUP):
        try:
            packages.append(from_entry_point(point))
        except ExtensionLoadError as error:
            failures[point.name] = str(error)
    return packages, failures


def from_entry_point(point: EntryPoint) -> Package:
    """Raises ``ExtensionLoadError`` when the package's code or requirements are not there."""
    dist = point.dist
    if dist is None:
        raise ExtensionLoadError(f"the entry point {point.name} belongs to no installed package")
    if not EntryPoint.pattern.match(point.value):
        raise ExtensionLoadError(f"the entry point {point.name} is {point.value!r}, not module:attribute")
    own = top_level_mounts(dist)
    if not own:
        raise ExtensionLoadError(f"the code of package {dist.name} is not found")
    required = mounts_of(tuple(dist.requires or ()))
    mounts = {inside: (outside, inside) for outside, inside in (*sdk_mounts(), *required, *own)}
    return Package(
        name=point.name,
        module=point.module,
        attribute=point.attr,
        mounts=tuple(mounts.values()),
        import_path=(SITE,),
        origin=f"package {dist.name} {dist.version}",
        known_as=point.name,
    )


def package_of(name: str, known_as: str, module: str, attribute: str, files: Path, origin: str) -> Package:
    """An extension whose ``site``, and folder if it has one, lie in ``files``.

    Raises ``ExtensionLoadError`` when they do not. Nothing of its own can stand in the place of the SDK.
    """
    shared = {inside: outside for outside, inside in sdk_mounts()}
    taken = {Path(inside).name for inside in shared}
    try:
        there = [path for path in sorted((files / SITE_PART).iterdir()) if importable(path.name)]
    except OSError as error:
        raise ExtensionLoadError(f"its files cannot be read: {error.strerror}") from None
    mounts = {f"{SITE}/{path.name}": str(path) for path in there if path.name not in taken} | shared
    path: tuple[str, ...] = (SITE,)
    if (files / FOLDER_PART).is_dir():
        mounts[_FOLDER], path = str(files / FOLDER_PART), (SITE, _FOLDER)
    return Package(
        name=name,
        module=module,
        attribute=attribute,
        mounts=tuple((outside, inside) for inside, outside in mounts.items()),
        import_path=path,
        origin=origin,
        known_as=known_as,
    )


def from_folder(folder: Path) -> Package:
    """Raises ``ExtensionLoadError`` when there is no ``main.py``."""
    place = folder.resolve()
    if not _has_main(place):
        what = "give its folder" if place.is_file() else f"it has no {MAIN_FILE}"
        raise ExtensionLoadError(f"{folder} is no extension: {what}")
    return Package(
        name=place.name,
        module=MAIN_FILE.removesuffix(".py"),
        attribute="",
        mounts=(*sdk_mounts(), (str(place), _FOLDER)),
        import_path=(_FOLDER,),
        origin=f"folder {place}",
        is_operators_own=True,
    )


def _has_main(folder: Path) -> bool:
    try:
        return (folder / MAIN_FILE).is_file()
    except OSError:  # a folder that may not be entered
        return False


def folders_in(parent: Path, failures: dict[str, str]) -> list[Path]:
    """The extension folders in ``parent``, or ``parent`` itself if it is one."""
    if _has_main(parent):
        return [parent]
    try:
        return sorted(path for path in parent.iterdir() if _has_main(path))
    except OSError as error:
        failures[str(parent)] = f"the extensions folder cannot be read: {error.strerror}"
        return []
