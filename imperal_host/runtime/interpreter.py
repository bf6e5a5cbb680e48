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
    """``mounts`` are mounted where they are; ``masked`` below them are covered: packages are mounted singly."""

    executable: str
    mounts: tuple[str, ...]
    masked: tuple[str, ...]
    symlinks: tuple[tuple[str, str], ...]
    import_path: tuple[str, ...]


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
