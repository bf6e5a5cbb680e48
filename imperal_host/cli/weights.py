"""``imperal-host model``: the embedded model's weights."""

from pathlib import Path

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from imperal_host.cli.run import err, fail, out, settings
from imperal_host.errors import HostError
from imperal_host.local import weights

app = typer.Typer(no_args_is_help=True, help="The embedded platform model.")


@app.command()
def pull() -> None:
    """Fetch the embedded model's weights (98 MB) into the cache directory and check them."""
    file = fetch_weights(settings().cache_dir)
    out.print(f"{file} is complete and checked.")


@app.command()
def status() -> None:
    """Say whether the embedded model is installed."""
    cache_dir = settings().cache_dir
    if not weights.present(cache_dir):
        fail("not installed; run: imperal-host model pull")
    out.print(f"{weights.MODEL}: {weights.weights_file(cache_dir)}")


def fetch_weights(cache_dir: Path) -> Path:
    """The weights' file; fetched first if it is not there or not whole."""
    with Progress(
        TextColumn("checking"), BarColumn(), DownloadColumn(), console=err, transient=True, disable=not err.is_terminal
    ) as bar:
        task = bar.add_task("sha-256", total=weights.FILE_BYTES)
        try:
            return weights.pull(cache_dir, lambda done, total: bar.update(task, completed=done, total=total))
        except HostError as error:
            fail(str(error))
