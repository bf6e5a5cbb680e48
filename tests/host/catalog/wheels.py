"""Wheels made by hand: a wheel is a zip file with a few lines of metadata, so no build tool is needed."""

import zipfile
from collections.abc import Iterable, Mapping
from importlib.metadata import distribution
from pathlib import Path

EXTENSION = """
from imperal_sdk import ChatExtension, Extension
{imports}
ext = Extension({app_id!r}, version={version!r})
chat = ChatExtension(ext)

@chat.function
async def tell(ctx) -> dict:
    return {{"version": {version!r}, "library": {library}}}

@chat.function
async def slow(ctx) -> dict:
    import asyncio
    await ctx.progress(1, "begun")
    await asyncio.sleep(4)
    import {app_id}_later as later
    return {{"version": {version!r}, "later": later.VERSION}}
"""


def make_wheel(
    place: Path,
    name: str,
    version: str,
    files: Mapping[str, str | bytes],
    *,
    requires: Iterable[str] = (),
    entry_points: str = "",
) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    wheel = place / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    written = {
        **files,
        f"{info}/METADATA": "\n".join([*metadata, *(f"Requires-Dist: {line}" for line in requires), ""]),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **({f"{info}/entry_points.txt": entry_points} if entry_points else {}),
    }
    record = "".join(f"{file},,\n" for file in [*written, f"{info}/RECORD"])
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, content in {**written, f"{info}/RECORD": record}.items():
            archive.writestr(file, content)
    return wheel


def point(name: str, value: str = "") -> str:
    return f"[imperal.extensions]\n{name} = {value or f'{name}_main:ext'}\n"


def extension_wheel(place: Path, app_id: str, version: str, requires: Iterable[str] = (), library: str = "") -> Path:
    """Its functions: ``tell`` its version and that of ``library``; ``slow``, which imports late."""
    source = EXTENSION.format(
        app_id=app_id,
        version=version,
        imports=f"import {library}" if library else "",
        library=f"{library}.VERSION" if library else "''",
    )
    files = {f"{app_id}_main.py": source, f"{app_id}_later.py": f"VERSION = {version!r}\n"}
    return make_wheel(place, app_id, version, files, requires=requires, entry_points=point(app_id))


def library_wheel(place: Path, name: str, version: str, requires: Iterable[str] = ()) -> Path:
    return make_wheel(place, name, version, {f"{name}.py": f"VERSION = {version!r}\n"}, requires=requires)


def wheel_of_installed(place: Path, name: str) -> Path:
    """The wheel that an installed distribution came from, near enough."""
    found = distribution(name)
    place.mkdir(parents=True, exist_ok=True)
    tag = next(line for line in (found.read_text("WHEEL") or "").splitlines() if line.startswith("Tag: "))
    wheel = place / f"{name.replace('-', '_')}-{found.version}-{tag.removeprefix('Tag: ')}.whl"
    kept = [file for file in found.files or [] if ".." not in file.parts and "__pycache__" not in file.parts]
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in kept:
            archive.write(str(found.locate_file(file)), str(file))
    return wheel
