"""What of this Python installation an isolate needs to see, and what of it must stay hidden."""

import os
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

_SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo")
_PACKAGE_DIRECTORIES = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """``mounts`` are mounted where they are; ``masked`` below them are covered: packages are mounted singly.

    Where nothing can be mounted or covered, the same is said by what may be opened: of ``listed`` the names,
    of ``readable`` all.
    """

    executable: str
    mounts: tuple[str, ...]
    masked: tuple[str, ...]
    symlinks: tuple[tuple[str, str], ...]
    import_path: tuple[str, ...]

    @property
    def listed(self) -> tuple[str, ...]:
        return tuple(mount for mount in self.mounts if any(_is_below(path, mount) for path in self.masked))

    @property
    def readable(self) -> tuple[str, ...]:
        return tuple(path for mount in self.mounts for path in _without(self.masked, mount))


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(f"{directory}/")


def _without(masked: tuple[str, ...], path: str) -> list[str]:
    """``path``, or as much of what is in it as leaves ``masked`` out."""
    if path in masked or os.path.islink(path):
        return []
    if not any(_is_below(other, path) for other in masked):
        return [path]
    return [found for entry in sorted(os.listdir(path)) for found in _without(masked, f"{path}/{entry}")]


def this_interpreter() -> Interpreter:
    """The running interpreter's base installation, without its virtual environment."""
    standard_library = os.path.realpath(sysconfig.get_path("stdlib"))
    libraries = os.path.realpath(sysconfig.get_config_var("LIBDIR") or os.path.dirname(standard_library))
    wanted = [*_SYSTEM_LIBRARIES, libraries, standard_library]
    existing = [path for path in wanted if os.path.isdir(path)]
    real = sorted({os.path.realpath(path) for path in existing}, key=len)
    mounts = [path for path in real if not any(path.startswith(other + "/") for other in real)]
    masked = [
        str(Path(parent, name))
        for parent in (standard_library, "/usr/lib/python3", *_beside(libraries))
        for name in _PACKAGE_DIRECTORIES
        if Path(parent, name).is_dir()
    ]
    return Interpreter(
        executable=os.path.realpath(sys.executable),
        mounts=tuple(mounts),
        masked=tuple(dict.fromkeys(masked)),
        symlinks=tuple((path, os.path.realpath(path)) for path in existing if os.path.realpath(path) != path),
        import_path=(standard_library, f"{standard_library}/lib-dynload"),
    )


def _beside(libraries: str) -> list[str]:
    """Every ``pythonX.Y`` directory that would be mounted together with the one that runs."""
    found = [*Path(libraries).glob("python3*"), *Path("/usr/lib").glob("python3*")]
    return sorted(str(path) for path in found if path.is_dir())
