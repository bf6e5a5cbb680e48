"""What every tracked file has in common.

The patterns are put together from pieces, so that this file passes its own tests.
"""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_REGISTRIES = (
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("npmjs", "org"),
    ("npmjs", "com"),
    ("crates", "io"),
    ("rubygems", "org"),
    ("anaconda", "org"),
    ("golang", "org"),
)
REGISTRY = re.compile("|".join(rf"\b{name}\.{end}\b" for name, end in _REGISTRIES))
# An absolute path into a home or a work folder. A dot file of root (a thing to try to read) is not one.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:home/\w|Users/\w|root/\w|work/\w)")
UNFINISHED = re.compile(r"\b(?:" + "TO" + r"DO|FIX" + r"ME)\b")
SWITCHED_OFF = {"skip", "skipif", "xfail", "importorskip"}
NAMELESS = re.compile(r"type:\s*ignore(?!\[[a-z-]+(?:, ?[a-z-]+)*\])|\bnoqa\b(?!: [A-Z]+[0-9]+)|ruff:\s*noqa")


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


TRACKED = tracked()
PYTHON = [path for path in TRACKED if path.suffix == ".py"]


def lines_of_text() -> Iterator[tuple[str, str]]:
    for path in TRACKED:
        data = path.read_bytes()
        if b"\0" not in data:
            for number, line in enumerate(data.decode("utf-8").splitlines(), 1):
                yield f"{path.relative_to(ROOT)}:{number}", line


def comments() -> Iterator[tuple[str, str]]:
    for path in PYTHON:
        text = path.read_text(encoding="utf-8")
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield f"{path.relative_to(ROOT)}:{token.start[0]}", token.string


def test_the_survey_sees_the_repository() -> None:
    names = {str(path.relative_to(ROOT)) for path in TRACKED}

    assert {"pyproject.toml", "requirements.lock", "imperal_host/app.py", "imperal_sdk/__init__.py"} <= names
    assert any(where.startswith("pyproject.toml:") for where, _ in lines_of_text())
    assert any(where.startswith("imperal_sdk/") for where, _ in comments())


def test_no_file_names_a_package_registry() -> None:
    assert [where for where, line in lines_of_text() if REGISTRY.search(line)] == []


def test_a_lock_file_pins_by_hash_and_names_no_address() -> None:
    locks = [path for path in TRACKED if path.suffix == ".lock"]

    assert locks
    for path in locks:
        text = path.read_text(encoding="utf-8")
        assert "://" not in text
        pins = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
        assert pins
        assert [pin.splitlines()[0] for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []


def test_no_file_names_a_path_of_the_machine_it_was_made_on() -> None:
    assert [f"{where} {line.strip()}" for where, line in lines_of_text() if MACHINE_PATH.search(line)] == []


def test_nothing_is_left_for_later() -> None:
    assert [where for where, comment in comments() if UNFINISHED.search(comment)] == []


def test_no_test_is_switched_off() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PYTHON
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in SWITCHED_OFF
        if ast.unparse(node.value) in ("pytest", "pytest.mark", "mark")
    ]
    assert found == []


def test_every_exception_from_a_check_names_its_rule() -> None:
    assert [f"{where} {comment}" for where, comment in comments() if NAMELESS.search(comment)] == []


@pytest.mark.parametrize(
    ("pattern", "caught", "free"),
    [
        (REGISTRY, "see " + "files.pythonhosted" + ".org/x", "packaging.python.org"),
        (MACHINE_PATH, 'open("' + "/work" + '/main/x")', "https://example.com" + "/work" + "/x"),
        (MACHINE_PATH, "cd " + "/home" + "/me", "/root/.bashrc"),
        (UNFINISHED, "# TO" + "DO: later", "# to do so"),
        (NAMELESS, "# type: " + "ignore", "# type: ignore[misc, arg-type]"),
        (NAMELESS, "# no" + "qa", "# noqa: S108  (why)"),
    ],
)
def test_a_pattern_catches_what_it_is_for(pattern: re.Pattern[str], caught: str, free: str) -> None:
    assert pattern.search(caught)
    assert not pattern.search(free)
