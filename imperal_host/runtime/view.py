"""Where nothing can be mounted: a directory of links that shows what an isolate would see."""

import os
import shutil
import tempfile
from dataclasses import dataclass

from imperal_host.identity import Package


@dataclass(frozen=True, slots=True)
class View:
    path: str

    @classmethod
    def of(cls, package: Package) -> "View":
        """Raises ``OSError``."""
        path = tempfile.mkdtemp(prefix="imperal-host-")
        os.chmod(path, 0o755)  # noqa: S103  (isolates have ids of their own, and may read it)
        for outside, inside in package.mounts:
            os.makedirs(os.path.dirname(path + inside), exist_ok=True)
            os.symlink(os.path.realpath(outside), path + inside)
        return cls(path)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
