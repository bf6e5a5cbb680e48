"""Extensions are found by what is written about them; no line of their code runs."""

import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import imperal_host
import imperal_sdk
from imperal_host.catalog.discovery import discover, from_entry_point
from imperal_host.catalog.distributions import sdk_mounts
from imperal_host.errors import ExtensionLoadError
from imperal_host.identity import Package
from tests.conftest import FIXTURES, ROOT
from tests.host.catalog.distribution import install

WITNESS = "open({path!r}, 'w').close()\n"


def found(packages: list[Package], name: str) -> Package:
    [package] = [package for package in packages if package.name == name]
    return package


def test_the_bundled_extensions_are_found_and_not_imported() -> None:
    program = """
import json, sys
from imperal_host.catalog.discovery import discover
packages, failures = discover()
imported = [name for name in sys.modules if name.startswith("imperal_ext_")]
print(json.dumps({"found": sorted(p.name for p in packages), "failures": failures, "imported": imported}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT / "tests"
    )
    assert json.loads(done.stdout) == {"found": ["rewriter", "summarizer"], "failures": {}, "imported": []}


def test_a_bundled_extension_brings_its_one_module() -> None:
    package = found(discover()[0], "summarizer")
    assert (package.module, package.attribute) == ("imperal_ext_summarizer", "ext")
    module = ROOT / "extensions" / "summarizer" / "imperal_ext_summarizer.py"
    assert (str(module), "/site/imperal_ext_summarizer.py") in package.mounts
    assert package.origin == "package imperal-ext-summarizer 1.0.0"


def test_folders_are_found_and_not_imported(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    for name in ("b", "a", "no_main"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "main.py").write_text(WITNESS.format(path=str(ran)), encoding="utf-8")
    (tmp_path / "b" / "main.py").write_text("def (", encoding="utf-8")
    packages, failures = discover(tmp_path)
    assert [package.name for package in packages if not package.attribute] == ["a", "b"]
    assert found(packages, "a").mounts[-1] == (str(tmp_path / "a"), "/ext")
    assert failures == {}
    assert not ran.exists()


def test_a_folder_that_is_an_extension_itself_is_found_as_that_one(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("", encoding="utf-8")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "main.py").write_text("", encoding="utf-8")
    packages, _ = discover(tmp_path)
    assert [package.name for package in packages if not package.attribute] == [tmp_path.name]


@pytest.mark.parametrize(
    ("make", "why"),
    [(Path.touch, "Not a directory"), (lambda path: None, "No such file or directory")],
    ids=["a file", "nothing"],
)
def test_a_folder_that_cannot_be_read_is_a_failure_and_the_packages_are_found(
    tmp_path: Path, make: object, why: str
) -> None:
    folder = tmp_path / "extensions"
    assert callable(make)
    make(folder)
    packages, failures = discover(folder)
    assert failures == {str(folder): f"the extensions folder cannot be read: {why}"}
    assert {package.name for package in packages} == {"rewriter", "summarizer"}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where packages are found, as in site-packages."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(place)
    return place


POINT = "[imperal.extensions]\nstranger = stranger_module:ext\n"
CODE = {"stranger_module.py": "raise AssertionError('imported')"}


def test_a_package_is_found_with_what_it_requires_and_what_that_requires(site: Path) -> None:
    install(site, "stranger", entry_points=POINT, modules=CODE, requires=["Middle.Package>=1", "imperal-sdk>=1"])
    install(site, "middle-package", modules={"middle.py": ""}, requires=["end-package; python_version > '3'"])
    install(site, "end-package", modules={"end.py": ""}, requires=["middle-package", "extra-package; extra == 'x'"])
    packages, failures = discover()
    assert failures == {}
    package = found(packages, "stranger")
    for file in ("stranger_module.py", "middle.py", "end.py"):
        assert (str(site / file), f"/site/{file}") in package.mounts
    assert "stranger_module" not in sys.modules


@pytest.mark.parametrize(
    ("point", "modules", "requires", "why"),
    [
        (POINT, CODE, ["not-here-at-all>=2"], "the requirement not-here-at-all is not installed"),
        (POINT, CODE, ["!!!"], "it requires '!!!', which names no package"),
        (POINT, {}, [], "the code of package stranger is not found"),
        (POINT.replace("stranger_module:ext", "a b c"), CODE, [], "is 'a b c', not module:attribute"),
    ],
)
def test_a_package_that_cannot_be_used_is_a_failure_and_the_others_are_found(
    site: Path, point: str, modules: dict[str, str], requires: list[str], why: str
) -> None:
    install(site, "stranger", entry_points=point, modules=modules, requires=requires, record=modules)
    packages, failures = discover()
    assert list(failures) == ["stranger"]
    assert why in failures["stranger"]
    assert {package.name for package in packages} == {"rewriter", "summarizer"}


def test_a_missing_requirement_of_a_requirement_says_whose_it_is(site: Path) -> None:
    install(site, "stranger", entry_points=POINT, modules=CODE, requires=["middle"])
    install(site, "middle", modules={"middle.py": ""}, requires=["not-here-at-all"])
    assert discover()[1] == {"stranger": "the requirement not-here-at-all (required by middle) is not installed"}


def test_an_entry_point_of_no_package_is_refused() -> None:
    with pytest.raises(ExtensionLoadError, match="belongs to no installed package"):
        from_entry_point(EntryPoint("loose", "module:ext", "imperal.extensions"))


@pytest.mark.parametrize(
    "line",
    ["/", "/etc/passwd", "", "../../secret", "..", "imperal_host/vault/store.py", "bin/tool", "__pycache__/x.pyc"],
)
def test_a_packages_list_of_files_reaches_nothing_but_its_own(site: Path, line: str) -> None:
    install(site, "stranger", entry_points=POINT, modules=CODE, record=[line, "stranger_module.py"])
    (site / "bin").mkdir()
    (site.parent / "secret").touch()
    packages, failures = discover()
    assert failures == {}
    own = set(found(packages, "stranger").mounts) - set(sdk_mounts())
    assert own == {(str(site / "stranger_module.py"), "/site/stranger_module.py")}


def test_no_isolate_is_given_the_host_or_the_repository(site: Path) -> None:
    install(site, "stranger", entry_points=POINT, modules=CODE, requires=["imperal-host", "imperal-ext-rewriter"])
    packages, failures = discover(FIXTURES / "extensions")
    assert failures == {}
    assert len(packages) == 7
    host = Path(imperal_host.__file__).resolve().parent
    sdk = Path(imperal_sdk.__file__).resolve().parent
    for package in packages:
        for outside, inside in package.mounts:
            place = Path(outside).resolve()
            assert "imperal_host" not in inside
            assert not host.is_relative_to(place), f"{package.name} sees {place}"
            assert not place.is_relative_to(host), f"{package.name} sees {place}"
            assert not Path(site).is_relative_to(place)
            assert inside in (f"/site/{place.name}", f"/sdk/{place.name}", "/ext"), "no mount climbs out of its place"
            assert Path(inside).parent in (Path("/site"), Path("/sdk"), Path("/"))
        assert (str(sdk), "/sdk/imperal_sdk") in [(str(Path(o).resolve()), i) for o, i in package.mounts]
