"""Packages as pip would have installed them, made by hand."""

from collections.abc import Iterable, Mapping
from pathlib import Path


def install(
    site: Path,
    name: str,
    *,
    entry_points: str = "",
    modules: Mapping[str, str] | None = None,
    requires: Iterable[str] = (),
    record: Iterable[str] | None = None,
) -> Path:
    """Lay a distribution down in ``site``; ``record`` replaces the list of its files."""
    info = site / f"{name.replace('-', '_')}-1.0.0.dist-info"
    info.mkdir(parents=True)
    for file, source in (modules or {}).items():
        (site / file).write_text(source, encoding="utf-8")
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0.0", *(f"Requires-Dist: {r}" for r in requires)]
    (info / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")
    files = [*(modules or {}), f"{info.name}/METADATA"] if record is None else record
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files), encoding="utf-8")
    return info
