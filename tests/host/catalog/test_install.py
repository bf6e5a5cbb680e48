"""What is fetched, and what is refused, with the real pip and no index but a folder of the test's own."""

import os
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from imperal_host.catalog import folder
from imperal_host.catalog.distributions import sdk_mounts, sdk_needs
from imperal_host.catalog.install import Prepared, Source, prepare, source_of
from imperal_host.catalog.wheel import entry_point
from imperal_host.errors import ExtensionLoadError, HostError, InvalidError, SetupError
from tests.host.catalog.wheels import extension_wheel, library_wheel, make_wheel, point, wheel_of_installed

BYTES_MAX = 64 << 20
MAIN = "from imperal_sdk import Extension\next = Extension('x-y', version='1.0.0')\n"


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pip finds wheels, and nowhere else."""
    place = tmp_path / "links"
    place.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return place


def prepared(tmp_path: Path, what: object, bytes_max: int = BYTES_MAX, *, allow_build: bool = False) -> Prepared:
    place = tmp_path / "place"
    place.mkdir()
    return prepare(source_of(str(what), allow_build=allow_build), place, bytes_max)


def names_in(found: Prepared) -> set[str]:
    return {path.name for path in (found.files / "site").iterdir() if not path.name.endswith(".dist-info")}


def test_a_wheel_comes_with_what_it_requires_and_the_sdk_is_not_looked_for(tmp_path: Path, links: Path) -> None:
    library_wheel(links, "deep", "2.0")
    library_wheel(links, "near", "1.0", ["deep>=2", "absent; python_version < '3'"])
    wheel = extension_wheel(
        tmp_path, "alpha", "1.0.0", ["near", "imperal-sdk>=99", "Imperal.Host", "other; extra=='x'"]
    )
    found = prepared(tmp_path, wheel)
    assert names_in(found) - {"__pycache__"} == {"alpha_main.py", "alpha_later.py", "near.py", "deep.py"}
    assert (found.app_id, found.module, found.attribute) == ("alpha", "alpha_main", "ext")
    mounts = {inside: outside for outside, inside in found.package("alpha").mounts}
    assert mounts["/site/near.py"] == str(found.files / "site" / "near.py")
    assert {inside for _, inside in sdk_mounts()} <= mounts.keys()


def test_a_requirement_is_found_on_the_machines_index_with_its_extras(tmp_path: Path, links: Path) -> None:
    library_wheel(links, "more", "1.0")
    extension_wheel(links, "alpha", "1.0.0", ["more; extra == 'full'"])
    extension_wheel(links, "alpha", "2.0.0", ["more; extra == 'full'"])
    found = prepared(tmp_path, "alpha[full]<2")
    assert "more.py" in names_in(found)
    assert "'1.0.0'" in (found.files / "site" / "alpha_main.py").read_text()


def test_the_same_wheels_have_the_same_content_and_others_another(tmp_path: Path, links: Path) -> None:
    contents = []
    for number, version in enumerate(("1.0", "1.0", "1.1")):
        library_wheel(links, "near", version)
        wheel = extension_wheel(tmp_path / str(number), "alpha", "1.0.0", ["near"])
        (tmp_path / str(number) / "at").mkdir()
        contents.append(prepared(tmp_path / str(number), wheel).content)
    assert contents[0] == contents[1] != contents[2]


def test_isolates_may_read_all_of_it_whatever_the_umask(tmp_path: Path, links: Path) -> None:
    old = os.umask(0o077)
    try:
        found = prepared(tmp_path, extension_wheel(tmp_path, "alpha", "1.0.0"))
    finally:
        os.umask(old)
    for path in [found.files, *found.files.rglob("*")]:
        assert path.stat().st_mode & 0o777 in (0o755, 0o644), path


def test_one_that_requires_a_library_of_the_sdks_brings_them_all(tmp_path: Path, links: Path) -> None:
    for name in sdk_needs():
        wheel_of_installed(links, name)
    found = prepared(tmp_path, extension_wheel(tmp_path, "alpha", "1.0.0", ["typing_extensions"]))
    assert {"pydantic", "pydantic_core", "msgspec", "typing_extensions.py"} <= names_in(found)
    outsides = [outside for outside, inside in found.package("alpha").mounts if inside != "/site/imperal_sdk"]
    assert all(Path(outside).is_relative_to(found.files) for outside in outsides)


def test_one_whose_pydantic_does_not_suit_the_sdk_is_refused(tmp_path: Path, links: Path) -> None:
    for name in sdk_needs():
        wheel_of_installed(links, name)
    library_wheel(links, "pydantic", "1.10")
    with pytest.raises(SetupError, match=r"pip could not do it: .*pydantic"):
        prepared(tmp_path, extension_wheel(tmp_path, "alpha", "1.0.0", ["pydantic<2"]))


def test_nothing_stands_in_the_place_of_the_hosts_libraries_or_the_sdk(tmp_path: Path, links: Path) -> None:
    files = dict.fromkeys(
        ("pydantic/__init__.py", "imperal_sdk/__init__.py", "imperal_host/__init__.py", "m.py", "x.pth"), ""
    )
    found = prepared(tmp_path, make_wheel(tmp_path, "alpha", "1.0", files, entry_points=point("alpha", "m:ext")))
    package = found.package("alpha")
    assert set(sdk_mounts()) <= set(package.mounts)
    own = {inside for outside, inside in package.mounts if Path(outside).is_relative_to(found.files)}
    assert own == {"/site/m.py", "/site/alpha-1.0.dist-info"}


@pytest.mark.parametrize(
    ("files", "points", "why"),
    [
        ({"../evil.py": ""}, point("alpha"), "which is outside of it"),
        ({"/tmp/evil.py": ""}, point("alpha"), "which is outside of it"),
        ({"a/../../evil.py": ""}, point("alpha"), "which is outside of it"),
        ({}, "", "must declare one entry point in 'imperal.extensions', and has: none"),
        ({}, "[imperal.host]\na = b:c\n", "and has: none"),
        ({}, point("alpha") + "beta = b:ext\n", "and has: alpha, beta"),
        ({}, point("alpha") + "alpha = b:ext\n", "the entry points of .* cannot be read"),
        ({}, point("alpha", "os; import x"), "not module:attribute"),
        ({}, point("alpha", "a b c"), "not module:attribute"),
        ({}, point("alpha", "module"), "not module:attribute"),
        ({}, "no section\n", "the entry points of .* cannot be read"),
        ({"alpha-2.dist-info/METADATA": ""}, point("alpha"), "multiple .dist-info directories"),
    ],
)
def test_a_hostile_wheel_is_refused_and_nothing_lies_outside(
    tmp_path: Path, links: Path, files: Mapping[str, str], points: str, why: str
) -> None:
    wheel = make_wheel(tmp_path / "w", "alpha", "1.0", files, entry_points=points)
    with pytest.raises(HostError, match=why):
        prepared(tmp_path, wheel)
    assert list(tmp_path.rglob("evil.py")) == []
    assert not Path("/tmp/evil.py").exists()


def test_a_requirement_that_is_hostile_is_refused_as_well(tmp_path: Path, links: Path) -> None:
    make_wheel(links, "near", "1.0", {"../../evil.py": ""})
    with pytest.raises(ExtensionLoadError, match="outside of it"):
        prepared(tmp_path, extension_wheel(tmp_path, "alpha", "1.0.0", ["near"]))
    assert list(tmp_path.rglob("evil.py")) == []


def test_a_huge_one_is_refused_before_it_is_unpacked(tmp_path: Path, links: Path) -> None:
    wheel = make_wheel(tmp_path, "alpha", "1.0", {"big.bin": bytes(30 << 20)}, entry_points=point("alpha"))
    assert wheel.stat().st_size < 1 << 20, "the zip file itself is small"
    with pytest.raises(ExtensionLoadError, match="30 MiB; at most 10 are taken"):
        prepared(tmp_path, wheel, 10 << 20)
    assert list(tmp_path.rglob("big.bin")) == []


def test_what_is_no_wheel_is_refused(tmp_path: Path, links: Path) -> None:
    (tmp_path / "alpha-1.0-py3-none-any.whl").write_bytes(b"PK\x03\x04 but no more")
    with pytest.raises(HostError, match=r"alpha-1\.0-py3-none-any\.whl"):
        prepared(tmp_path, tmp_path / "alpha-1.0-py3-none-any.whl")


SETUP = "open({ran!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='built', version='1.0', py_modules=[])\n"


def sdist(tmp_path: Path) -> tuple[Path, Path]:
    """A project whose build leaves a witness, and the witness."""
    project, ran = tmp_path / "built-1.0", tmp_path / "ran"
    project.mkdir()
    (project / "setup.py").write_text(SETUP.format(ran=str(ran)))
    archive = tmp_path / "built-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(project, "built-1.0")
    return archive, ran


def test_no_build_script_runs_also_where_a_requirement_has_its_own_address(tmp_path: Path, links: Path) -> None:
    archive, ran = sdist(tmp_path)
    library_wheel(links, "near", "1.0", [f"built @ {archive.as_uri()}"])
    with pytest.raises(SetupError, match=r"it would have to be built\. See --allow-build"):
        prepared(tmp_path, extension_wheel(tmp_path, "alpha", "1.0.0", ["near"]))
    assert not ran.exists()


def test_a_build_runs_where_it_is_allowed(tmp_path: Path, links: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")  # pip's word for: with what is installed here
    archive, ran = sdist(tmp_path)
    with pytest.raises(ExtensionLoadError, match="must declare one entry point"):
        prepared(tmp_path, archive, allow_build=True)
    assert ran.exists()


@pytest.mark.parametrize("name", ["built-1.0", "built-1.0.tar.gz"])
def test_a_project_is_refused_and_what_would_help_is_said(tmp_path: Path, links: Path, name: str) -> None:
    _, ran = sdist(tmp_path)
    with pytest.raises(InvalidError, match=r"build scripts would run here, outside the sandbox; .*--allow-build"):
        prepared(tmp_path, tmp_path / name)
    assert not ran.exists()


@pytest.mark.parametrize("text", ["--index-url=x", "-r file", "a b", "", "/nowhere/x.whl", "..", "name @"])
def test_what_is_nothing_to_install_is_said(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HostError, match=r"neither a wheel, nor a folder|there is no wheel|no main\.py"):
        prepared(tmp_path, text)


def test_a_requirement_that_is_not_there_is_said_in_pips_words(tmp_path: Path, links: Path) -> None:
    with pytest.raises(SetupError, match="No matching distribution found for not-here-at-all"):
        prepared(tmp_path, "not-here-at-all>=2")


def simple(tmp_path: Path, files: Mapping[str, str]) -> Path:
    place = tmp_path / "simple"
    for name, content in {"main.py": MAIN, **files}.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(content)
    return place


def test_a_folder_is_copied_without_what_is_not_the_extensions(tmp_path: Path, links: Path) -> None:
    library_wheel(links, "near", "1.0")
    left = {".env": "KEY=1", ".git/config": "", ".venv/x.py": "", "__pycache__/main.pyc": "", "sub/__pycache__/x": ""}
    place = simple(
        tmp_path, {**left, "sub/data.txt": "d", "requirements.txt": "# a comment\nnear>=1 # why\nimperal-sdk\n"}
    )
    (place / "link.txt").symlink_to("sub/data.txt")
    (place / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")
    found = prepared(tmp_path, place)
    copied = {
        str(path.relative_to(found.files / "ext")) for path in (found.files / "ext").rglob("*") if not path.is_dir()
    }
    assert copied == {"main.py", "sub/data.txt", "link.txt", "requirements.txt", "pyproject.toml"}
    assert (found.files / "ext" / "link.txt").read_text() == "d"
    assert "near.py" in names_in(found)
    assert found.package("simple").import_path == ("/site", "/ext")


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "/etc", "sub/up/../../outside"])
def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path, target: str) -> None:
    place = simple(tmp_path, {"sub/data.txt": ""})
    (tmp_path / "outside").write_text("secret")
    (place / "sub" / "up").symlink_to("..")
    (place / "link").symlink_to(target)
    with pytest.raises(ExtensionLoadError, match="link is a link that leads out of the folder"):
        prepared(tmp_path, place)


def test_a_folder_that_is_no_set_of_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = simple(tmp_path, {})
    os.mkfifo(place / "pipe")
    with pytest.raises(ExtensionLoadError, match="is neither a file nor a folder"):
        folder.copy(place, tmp_path / "copy")
    os.unlink(place / "pipe")
    (place / "big").write_bytes(bytes(2 << 20))
    monkeypatch.setattr(folder, "FOLDER_BYTES_MAX", 1 << 20)
    with pytest.raises(ExtensionLoadError, match="holds over 1 MiB"):
        folder.copy(place, tmp_path / "copy2")
    monkeypatch.setattr(folder, "FOLDER_FILES_MAX", 1)
    with pytest.raises(ExtensionLoadError, match="holds over 1 files"):
        folder.stamp(place)


@pytest.mark.parametrize("line", ["--index-url https://evil.example/", "-r /etc/passwd", "-e .", "./local.whl", "a b"])
def test_requirements_are_requirements_and_no_options(tmp_path: Path, line: str) -> None:
    with pytest.raises(ExtensionLoadError, match="which is no requirement"):
        prepared(tmp_path, simple(tmp_path, {"requirements.txt": line}))


def test_a_stamp_changes_with_every_edit_and_not_without(tmp_path: Path) -> None:
    place = simple(tmp_path, {"sub/a.py": "1"})
    stamps = [folder.stamp(place), folder.stamp(place)]
    assert stamps[0] == stamps[1]
    (place / "sub" / "a.py").write_text("22")
    stamps.append(folder.stamp(place))
    (place / "new.py").touch()
    stamps.append(folder.stamp(place))
    (place / ".swp").touch()
    assert folder.stamp(place) == stamps[-1]
    assert len(set(stamps)) == 3


def test_a_missing_module_of_pip_in_the_current_directory_is_not_run(
    tmp_path: Path, links: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text("open('ran', 'w').close()")
    monkeypatch.chdir(tmp_path)
    prepared(tmp_path, extension_wheel(tmp_path / "w", "alpha", "1.0.0"))
    assert not (tmp_path / "ran").exists()


def test_an_entry_points_name_keeps_its_case(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "alpha", "1.0", {}, entry_points=point("Alpha", "m.sub:ext"))
    found = entry_point(wheel)
    assert (found.name, found.module, found.attribute) == ("Alpha", "m.sub", "ext")
    assert zipfile.is_zipfile(wheel)
    assert Source("wheel", str(wheel)).allow_build is False
