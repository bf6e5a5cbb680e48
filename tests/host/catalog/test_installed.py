"""What is kept on disk: the last whole state, whatever is interrupted, and no file that somebody still uses goes."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from imperal_host.catalog import installed as installed_module
from imperal_host.catalog import locks
from imperal_host.catalog.installed import Installed, Record
from imperal_host.errors import IntegrityError, InvalidError, NotFoundError, SetupError

HASHES = {"1.0.0": "a" * 12, "2.0.0": "b" * 12, "3.0.0": "c" * 12}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "extensions"


@pytest.fixture
def store(root: Path) -> Installed:
    return Installed(root)


def record(version: str, app_id: str = "alpha", **changes: Any) -> Record:
    fields = {"id": app_id, "version": version, "directory": f"{version}-{HASHES[version]}", "module": "m"}
    rest = {"attribute": "ext", "kind": "requirement", "source": app_id, "allow_build": False}
    return Record.model_validate({**fields, **rest, "installed_at": datetime.now(UTC), **changes})


def put(store: Installed, new: Record, instead_of: Record | None = None) -> Record:
    with store.making() as place:
        (place / "files").mkdir()
        (place / "files" / "code.py").write_text(new.version)
        store.put(place / "files", new, instead_of=instead_of)
    return new


def versions_on_disk(root: Path) -> set[str]:
    return {path.name for path in (root / "alpha").iterdir() if path.is_dir()}


def leftovers(root: Path) -> list[str]:
    return [path.name for path in root.iterdir() if path.name.startswith((".new", ".old"))]


def test_nothing_is_made_by_looking(store: Installed, root: Path) -> None:
    assert store.names() == []
    assert store.stamp() == []
    with pytest.raises(NotFoundError, match="no extension 'alpha' is installed; there are: none"):
        store.record("alpha")
    assert not root.parent.exists()


def test_what_is_put_is_there_and_what_it_replaces_is_swept(store: Installed, root: Path) -> None:
    first = put(store, record("1.0.0"))
    before = store.stamp()
    assert store.names() == ["alpha"]
    second = put(store, record("2.0.0"), first)
    assert store.record("alpha") == second
    assert (store.files_of(second) / "code.py").read_text() == "2.0.0"
    assert versions_on_disk(root) == {second.directory}
    assert store.stamp() != before
    assert leftovers(root) == []


def test_what_somebody_holds_stays_until_it_is_let_go(store: Installed, root: Path) -> None:
    first = put(store, record("1.0.0"))
    hold = locks.share(store.files_of(first))
    assert hold is not None
    second = put(store, record("2.0.0"), first)
    assert versions_on_disk(root) == {first.directory, second.directory}
    hold.release()
    store.sweep()
    assert versions_on_disk(root) == {second.directory}


def test_what_was_removed_is_gone_and_can_be_put_again(store: Installed, root: Path) -> None:
    first = put(store, record("1.0.0"))
    hold = locks.share(store.files_of(first))
    assert hold is not None
    store.remove("alpha")
    assert store.names() == []
    assert (store.files_of(first) / "code.py").exists()
    hold.release()
    put(store, record("2.0.0"))
    assert versions_on_disk(root) == {record("2.0.0").directory}
    store.remove("alpha")
    assert not (root / "alpha").exists()
    with pytest.raises(NotFoundError):
        store.remove("alpha")


def test_disabling_says_whether_it_changed_anything(store: Installed) -> None:
    put(store, record("1.0.0"))
    assert store.set_enabled("alpha", False)
    assert not store.set_enabled("alpha", False)
    assert not store.record("alpha").enabled
    assert store.set_enabled("alpha", True)


def test_of_two_who_change_the_same_one_the_second_is_told(store: Installed) -> None:
    first = put(store, record("1.0.0"))
    put(store, record("2.0.0"), first)
    with pytest.raises(InvalidError, match="changed by somebody else meanwhile"):
        put(store, record("3.0.0"), first)
    with pytest.raises(InvalidError, match="changed by somebody else meanwhile"):
        put(store, record("3.0.0"), None)
    assert store.record("alpha").version == "2.0.0"


STEPS = ["mkdir", "rename", "replace", "fsync", "sync"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("first_time", [True, False])
def test_a_crash_at_any_step_leaves_a_whole_state_and_is_swept(
    store: Installed, root: Path, step: str, first_time: bool
) -> None:
    old = None if first_time else put(store, record("1.0.0"))

    def crash() -> None:
        """In a process of its own, which dies by a signal at that step of putting a version in its place."""
        with store.making() as place:
            (place / "files").mkdir()
            (place / "files" / "code.py").write_text("2.0.0")
            setattr(os, step, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
            store.put(place / "files", record("2.0.0"), instead_of=old)

    process = multiprocessing.get_context("fork").Process(target=crash)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    if old:
        assert store.record("alpha") == old
        assert (store.files_of(old) / "code.py").read_text() == "1.0.0"
    else:
        assert store.names() == []
    now = put(store, record("3.0.0"), store.record("alpha") if store.names() else None)
    assert versions_on_disk(root) == {now.directory}
    assert leftovers(root) == []


def test_half_of_a_deleted_version_is_never_taken_for_that_version(
    store: Installed, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = put(store, record("1.0.0"))
    with monkeypatch.context() as patch:
        patch.setattr(installed_module.shutil, "rmtree", lambda *_, **__: None)  # a crash before the first file goes
        second = put(store, record("2.0.0"), first)
    assert versions_on_disk(root) == {second.directory}
    assert leftovers(root)
    put(store, first, second)
    assert (store.files_of(first) / "code.py").read_text() == "1.0.0"
    assert leftovers(root) == []


def test_what_another_command_is_making_is_not_swept(store: Installed, root: Path) -> None:
    with store.making() as place:
        put(store, record("1.0.0"))
        store.sweep()
        assert place.is_dir()
    assert leftovers(root) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:40],
        lambda text: text.replace('"alpha"', '"other"'),
        lambda text: text.replace("1.0.0-aaa", "../../x-aaa"),
        lambda text: text.replace('"m"', '"os; evil"'),
        lambda text: text.replace("{", '{"more": 1,', 1),
    ],
)
def test_a_damaged_record_is_said_and_its_files_are_kept(
    store: Installed, root: Path, damage: Callable[[str], str]
) -> None:
    first = put(store, record("1.0.0"))
    file = root / "alpha" / "record.json"
    file.write_text(damage(file.read_text()))
    with pytest.raises(IntegrityError, match="the record of extension alpha is damaged"):
        store.record("alpha")
    assert store.names() == ["alpha"]
    store.sweep()
    assert store.files_of(first).is_dir()
    store.remove("alpha")
    assert not (root / "alpha").exists()


def test_commands_wait_for_one_another_and_not_for_ever(
    store: Installed, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, record("1.0.0"))
    began = time.monotonic()
    with locks.alone(root / ".lock"):
        release = threading.Timer(0.3, store.set_enabled, ("alpha", False))
        release.start()
        time.sleep(0.6)
        assert store.record("alpha").enabled, "it waits"
    release.join()
    assert not store.record("alpha").enabled
    monkeypatch.setattr(locks, "_WAIT_SECONDS_MAX", 0.1)
    with locks.alone(root / ".lock"), pytest.raises(SetupError, match="another command is changing the extensions"):
        store.set_enabled("alpha", True)
    assert time.monotonic() - began < 20


def test_many_at_once_leave_one_whole_state(store: Installed, root: Path) -> None:
    put(store, record("1.0.0"))
    told: list[str] = []

    def change(version: str) -> None:
        for _ in range(10):
            try:
                put(store, record(version), store.record("alpha"))
            except InvalidError as error:
                told.append(str(error))

    threads = [threading.Thread(target=change, args=(version,)) for version in HASHES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.sweep()
    now = store.record("alpha")
    assert (store.files_of(now) / "code.py").read_text() == now.version
    assert versions_on_disk(root) == {now.directory}
    assert leftovers(root) == []


def test_a_place_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="cannot be used: File exists; see IMPERAL_DATA_DIR"):
        put(Installed(tmp_path / "file"), record("1.0.0"))
