"""A minimal read-only root, reached by pivot_root(2): what is not mounted does not exist.

There is no /proc, no /sys, no /etc; /dev has four harmless nodes; the only writable place is a small
tmpfs without execute permission at ``SCRATCH``, which each isolate mounts for itself alone.
"""

import os

from imperal_sdk.worker.confine import linux

SCRATCH = "/scratch/t"
# A Landlock rule on a covered mount point is ignored, so the rule is on this one, and the tmpfs below it.
WRITABLE = "/scratch"
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/urandom")
_STAGES = ("/mnt", "/tmp", "/run")  # noqa: S108  (a mount point, not a file)
_READ_ONLY = linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV
_INODES_MAX = 1_024


class Sources:
    """The places to mount, held open: after the ids change, their paths may not be reachable."""

    def __init__(self, mounts: list[tuple[str, str]]) -> None:
        self._held = [(os.open(source, os.O_PATH | os.O_CLOEXEC), target) for source, target in mounts]

    def mount_under(self, stage: str) -> None:
        for descriptor, target in self._held:
            here = stage + target
            if os.path.isdir(f"/proc/self/fd/{descriptor}"):
                os.makedirs(here, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(here), exist_ok=True)
                os.close(os.open(here, os.O_CREAT | os.O_CLOEXEC, 0o444))
            linux.mount(f"/proc/self/fd/{descriptor}", here, flags=linux.MS_BIND | linux.MS_REC)
            linux.make_read_only(here)
            os.close(descriptor)


def build(sources: Sources, masked: list[str], symlinks: list[tuple[str, str]]) -> None:
    """Make the root and move into it. ``masked`` directories are covered by empty ones."""
    stage = next(path for path in _STAGES if os.path.isdir(path))
    linux.mount("tmpfs", stage, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=1m,mode=0755")
    sources.mount_under(stage)
    for path in masked:
        if os.path.isdir(stage + path):
            linux.mount("tmpfs", stage + path, "tmpfs", _READ_ONLY, "size=4k,mode=0555")
    for link, target in symlinks:
        if not os.path.lexists(stage + link):
            os.makedirs(os.path.dirname(stage + link), exist_ok=True)
            os.symlink(target, stage + link)
    os.makedirs(stage + "/dev")
    for node in DEVICES:
        os.close(os.open(stage + node, os.O_CREAT | os.O_CLOEXEC, 0o666))
        linux.mount(node, stage + node, flags=linux.MS_BIND)
        # Else whoever may write to it may set its times, which the whole machine sees.
        linux.make_read_only(stage + node, device=True)
    os.makedirs(stage + SCRATCH)
    os.chdir(stage)
    linux.syscall(linux.PIVOT_ROOT[os.uname().machine], b".", b".")
    linux.detach(".")
    os.chdir("/")
    linux.mount("none", "/", flags=linux.MS_REMOUNT | linux.MS_BIND | _READ_ONLY)


def mount_scratch(bytes_max: int) -> None:
    """The isolate's own. Its number of files is bounded too: an inode costs kernel memory."""
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    linux.mount("tmpfs", SCRATCH, "tmpfs", flags, f"size={bytes_max},nr_inodes={_INODES_MAX},mode=1777")
    os.chdir(SCRATCH)
