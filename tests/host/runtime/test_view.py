"""A directory that shows what an isolate would see, where nothing can be mounted."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from imperal_host.runtime.view import View
from tests.host.runtime.test_policy import HELLO


def test_it_shows_every_mount_in_its_place_and_nothing_else() -> None:
    view = View.of(HELLO)
    try:
        shown = {
            os.path.join(where, name).removeprefix(view.path)
            for where, directories, files in os.walk(view.path)
            for name in (*directories, *files)
            if os.path.islink(os.path.join(where, name))
        }
        assert shown == {inside for _, inside in HELLO.mounts}
        for outside, inside in HELLO.mounts:
            assert os.path.realpath(view.path + inside) == os.path.realpath(outside)
        assert (Path(view.path) / "ext" / "main.py").is_file()
    finally:
        view.remove()


def test_other_ids_may_read_it_and_not_write() -> None:
    view = View.of(HELLO)
    try:
        assert stat.S_IMODE(os.stat(view.path).st_mode) == 0o755
    finally:
        view.remove()


def test_removing_it_leaves_what_it_showed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    view = View.of(HELLO)
    assert Path(view.path).parent == tmp_path
    view.remove()
    view.remove()
    assert list(tmp_path.iterdir()) == []
    assert all(os.path.exists(outside) for outside, _ in HELLO.mounts)


def test_what_a_killed_host_left_is_removed_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living, killed, young = View.of(HELLO), View.of(HELLO), View.of(HELLO)
    for view in (killed, young):
        os.close(view.lock)  # as the kernel does
    other = tmp_path / "imperal-host-view-link"
    other.symlink_to(os.path.dirname(HELLO.mounts[0][0]))
    for path in (living.path, killed.path):
        os.utime(path, (0, 0))
    os.utime(other, (0, 0), follow_symlinks=False)
    new = View.of(HELLO)
    assert {str(path) for path in tmp_path.iterdir()} == {living.path, young.path, new.path, str(other)}
    assert all(os.path.exists(outside) for outside, _ in HELLO.mounts)
    young.lock = -1
    for view in (living, young, new):
        view.remove()
