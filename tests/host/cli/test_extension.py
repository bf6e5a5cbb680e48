"""``extension``: installed from a wheel, a requirement or a folder, with the real pip, and called in the sandbox."""

import os
from pathlib import Path

import pytest

from tests.host.catalog.wheels import extension_wheel, library_wheel, make_wheel, point
from tests.host.cli.command import Command, error_of

MAIN = """
import near
from imperal_sdk import ChatExtension, Extension
ext = Extension("gamma-ray", version="0.1.0")

@ChatExtension(ext).function
async def tell(ctx) -> dict:
    return {"library": near.VERSION}
"""


@pytest.fixture
def links(tmp_path: Path) -> Path:
    place = tmp_path / "links"
    for version in ("1.0", "2.0"):
        library_wheel(place, "near", version)
    return place


@pytest.fixture
def offline(command: Command, links: Path) -> Command:
    """pip finds what lies in ``links``, and asks nobody."""
    return command.having(PIP_NO_INDEX=1, PIP_FIND_LINKS=links, PIP_CONFIG_FILE=os.devnull, PIP_NO_CACHE_DIR=1)


def installed(command: Command) -> dict[str, tuple[str, bool]]:
    return {
        one["id"]: (one["version"], one["enabled"]) for one in command("extension", "list", "--json").json["installed"]
    }


def told(command: Command, app_id: str) -> object:
    return command("call", app_id, "tell").json["data"]


def test_two_extensions_have_different_versions_of_one_library(offline: Command, links: Path) -> None:
    extension_wheel(links, "beta", "1.0.0", ["near>=2"], "near")
    alpha = extension_wheel(offline.place, "alpha", "1.0.0", ["near<2"], "near")
    assert offline("extension", "add", alpha).text == "alpha 1.0.0 is installed. Its functions: tell, slow\n"
    assert "beta 1.0.0 is installed" in offline("extension", "add", "beta").text
    folder = offline.place / "gamma"
    folder.mkdir()
    (folder / "main.py").write_text(MAIN)
    (folder / "requirements.txt").write_text("near<2\n")
    assert "gamma-ray 0.1.0 is installed" in offline("extension", "add", "./gamma").text
    assert told(offline, "alpha") == {"version": "1.0.0", "library": "1.0"}
    assert told(offline, "beta") == {"version": "1.0.0", "library": "2.0"}
    assert told(offline, "gamma-ray") == {"library": "1.0"}


def test_from_nothing_to_nothing(offline: Command, links: Path) -> None:
    assert "imperal-host extension add" in offline("extension", "list").text
    assert not offline.data_dir.exists()
    extension_wheel(links, "alpha", "1.0.0")
    offline("extension", "add", "alpha>=1")
    assert "alpha" in offline("extension", "list").text
    assert offline("extension", "disable", "alpha").text == "alpha is disabled.\n"
    assert offline("extension", "disable", "alpha").text == "alpha is disabled already.\n"
    assert installed(offline) == {"alpha": ("1.0.0", False)}
    assert "there is no extension 'alpha'" in error_of(offline("call", "alpha", "tell"))
    extension_wheel(links, "alpha", "1.1.0")
    assert offline("extension", "update").text == "alpha 1.0.0 is now 1.1.0.\n"
    assert installed(offline) == {"alpha": ("1.1.0", False)}
    assert offline("extension", "enable", "alpha").text == "alpha is enabled.\n"
    assert offline("extension", "update", "alpha").text == "alpha 1.1.0 is up to date.\n"
    assert told(offline, "alpha") == {"version": "1.1.0", "library": ""}
    assert offline("extension", "remove", "alpha").text == "alpha is removed.\n"
    assert "no extension 'alpha' is installed; there are: none" in error_of(offline("extension", "remove", "alpha"))
    assert [path.name for path in (offline.data_dir / "extensions").iterdir()] == [".lock"]


def test_what_does_not_load_changes_nothing(offline: Command, links: Path) -> None:
    extension_wheel(links, "alpha", "1.0.0")
    offline("extension", "add", "alpha")
    make_wheel(links, "alpha", "2.0.0", {"alpha_main.py": "import not_here"}, entry_points=point("alpha"))
    assert "No module named 'not_here'" in error_of(offline("extension", "update", "alpha"))
    assert told(offline, "alpha") == {"version": "1.0.0", "library": ""}
    assert len(list((offline.data_dir / "extensions" / "alpha").iterdir())) == 2, "a record, and one version"


def test_of_several_updates_one_that_fails_does_not_stop_the_others(offline: Command, links: Path) -> None:
    for name in ("alpha", "beta"):
        extension_wheel(links, name, "1.0.0")
        offline("extension", "add", name)
    make_wheel(links, "alpha", "2.0.0", {"alpha_main.py": "1 / 0"}, entry_points=point("alpha"))
    extension_wheel(links, "beta", "2.0.0")
    done = offline("extension", "update", "all")
    assert (done.status, done.out) == (1, "beta 1.0.0 is now 2.0.0.\n")
    assert "ZeroDivisionError" in done.err


def test_a_name_that_is_taken_is_refused_unless_it_is_to_be_replaced(offline: Command) -> None:
    one = extension_wheel(offline.place / "a", "alpha", "1.0.0")
    other = extension_wheel(offline.place / "b", "alpha", "2.0.0")
    offline("extension", "add", one)
    assert "extension 'alpha' 1.0.0 is installed already" in error_of(offline("extension", "add", other))
    assert installed(offline) == {"alpha": ("1.0.0", True)}
    offline("extension", "add", other, "--replace")
    assert installed(offline) == {"alpha": ("2.0.0", True)}
    bundled = extension_wheel(offline.place / "c", "summarizer", "9.0.0")
    assert "another extension has the id 'summarizer' already" in error_of(offline("extension", "add", bundled))


def test_an_id_is_that_of_the_entry_point(offline: Command) -> None:
    source = "from imperal_sdk import Extension\next = Extension('victim', version='1.0.0')\n"
    wheel = make_wheel(offline.place, "honest", "1.0", {"m.py": source}, entry_points=point("honest", "m:ext"))
    why = error_of(offline("extension", "add", wheel))
    assert "its entry point is named 'honest', its id is 'victim'" in why
    escaping = make_wheel(offline.place, "climber", "1.0", {"m.py": source}, entry_points=point("../../x", "m:ext"))
    assert "its id is 'victim'" in error_of(offline("extension", "add", escaping))
    assert installed(offline) == {}


def test_a_damaged_record_is_listed_and_told_and_the_others_work(offline: Command, links: Path) -> None:
    for name in ("alpha", "beta"):
        extension_wheel(links, name, "1.0.0")
        offline("extension", "add", name)
    (offline.data_dir / "extensions" / "beta" / "record.json").write_text("{}")
    assert "damaged" in offline("extension", "list").text
    found = offline("extensions", "--json").json
    assert "the record of extension beta is damaged" in found["failures"]["beta"]
    assert told(offline, "alpha") == {"version": "1.0.0", "library": ""}
