"""How pip is called: it makes wheels available, and lays them out. Nothing of a wheel runs by that.

``--only-binary :all:`` alone does not keep pip from running build scripts: a requirement with an address of its
own (``name @ https://.../name.tar.gz``), anywhere in the tree, is built all the same. So pip runs in an interpreter
whose audit hook (PEP 578) lets it start no process.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from imperal_host.errors import SetupError

PIP_SECONDS_MAX = 900
_BUILDS = "imperal: this needs a build"
# keyring's command is one of pip's ways to a password for the machine's own index.
_WITHOUT_PROCESSES = f"""
import os, runpy, sys
def refuse(event, arguments):
    if event in ("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen"):
        if event != "subprocess.Popen" or os.path.basename(os.fsdecode(arguments[0] or "")) != "keyring":
            raise PermissionError({_BUILDS!r})
sys.addaudithook(refuse)
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
_QUIETLY = ("--disable-pip-version-check", "--no-input", "--no-color")
_MESSAGE_MAX = 600


def collect(wanted: Sequence[str], into: Path, *options: str, allow_build: bool) -> None:
    """Wheels of ``wanted`` (requirements or paths) and, unless ``--no-deps`` is given, of all they require.

    The machine's own index settings hold. Raises ``SetupError`` with pip's reason.
    """
    if allow_build:
        start = ["-m", "pip"]
    else:
        start, options = ["-c", _WITHOUT_PROCESSES], ("--only-binary=:all:", *options)
    _run([*start, "wheel", *_QUIETLY, f"--wheel-dir={into}", *options, "--", *wanted])


def unpack(wheels: Sequence[Path], into: Path) -> None:
    """Lay these wheels out, as they are, without asking for any other. Raises ``SetupError``."""
    options = ["--no-index", "--no-deps", "--no-warn-conflicts", "--ignore-requires-python", f"--target={into}"]
    _run(["-c", _WITHOUT_PROCESSES, "install", *_QUIETLY, *options, "--", *map(str, wheels)])


def _run(arguments: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            # -P: the current directory is no place to find a module named pip in.
            [sys.executable, "-P", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PIP_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SetupError(f"pip took over {PIP_SECONDS_MAX} s; try again") from None
    except OSError as error:
        raise SetupError(f"pip cannot be started: {error}") from None
    if done.returncode != 0:
        raise SetupError(_reason(done.stdout))


def _reason(output: str) -> str:
    if _BUILDS in output:
        return "there is no wheel of it, or of something it requires: it would have to be built. See --allow-build"
    errors = [line.removeprefix("ERROR: ").strip() for line in output.splitlines() if line.startswith("ERROR: ")]
    # pip names the cause first; where it did not expect one, the last line is the exception
    said = "; ".join(errors) if errors and errors != ["Exception:"] else output.strip().rpartition("\n")[2]
    return f"pip could not do it: {said[:_MESSAGE_MAX] or 'it did not say why'}"
