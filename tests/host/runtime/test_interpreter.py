"""What of an installation an isolate may see."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

from imperal_host.runtime.interpreter import Interpreter, this_interpreter


def installation(place: Path) -> Interpreter:
    """``lib`` with two Pythons, packages in both, and a link out of it."""
    library = place / "lib"
    for name in ("python3.11/json", "python3.11/site-packages/numpy", "python3/dist-packages/apt", "gcc"):
        (library / name).mkdir(parents=True)
    (library / "python3.11" / "os.py").write_text("")
    (library / "elsewhere").symlink_to("/etc")
    (library / "python3.11" / "link").symlink_to("/etc")
    (place / "zoneinfo").mkdir()
    return Interpreter(
        executable="",
        mounts=(str(library), str(place / "zoneinfo")),
        masked=(f"{library}/python3.11/site-packages", f"{library}/python3/dist-packages"),
        symlinks=(),
        import_path=(),
    )


def test_readable_leaves_the_masked_directories_out(tmp_path: Path) -> None:
    readable = set(installation(tmp_path).readable)
    assert readable == {
        f"{tmp_path}/{name}" for name in ("lib/gcc", "lib/python3.11/json", "lib/python3.11/os.py", "zoneinfo")
    }


def test_only_directories_with_something_masked_are_merely_listed(tmp_path: Path) -> None:
    assert installation(tmp_path).listed == (f"{tmp_path}/lib",)


def test_where_nothing_is_masked_all_is_readable(tmp_path: Path) -> None:
    plain = replace(installation(tmp_path), masked=())
    assert (plain.readable, plain.listed) == (plain.mounts, ())


def test_of_this_one_no_package_is_readable_and_the_library_is() -> None:
    here = this_interpreter()
    assert here.masked
    for masked in here.masked:
        assert not any(masked == path or masked.startswith(f"{path}/") for path in here.readable), masked
        assert not any(path.startswith(f"{masked}/") for path in here.readable), masked
    json_module = os.path.realpath(f"{here.import_path[0]}/json/__init__.py")
    assert any(json_module.startswith(f"{path}/") for path in here.readable)


def test_it_is_the_base_installation_with_all_that_it_needs() -> None:
    here = this_interpreter()
    assert "site-packages" not in here.executable
    command = [here.executable, "-I", "-S", "-c", "import json, ssl, sys; print(sys.path)"]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    assert all(os.path.realpath(target) == target and os.path.islink(link) for link, target in here.symlinks)
    nested = [(one, other) for one in here.mounts for other in here.mounts if one.startswith(f"{other}/")]
    assert nested == []
