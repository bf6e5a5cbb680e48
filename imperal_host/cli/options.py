"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Tenant = Annotated[str, typer.Option("--tenant", "-t", help="The tenant to act in.")]
User = Annotated[str, typer.Option("--user", "-u", help="The user to act as.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Extensions = Annotated[
    Path | None,
    typer.Option(
        "--extensions",
        "-e",
        help="A folder of extension folders, each with a main.py.",
        show_default=False,
        exists=True,
        file_okay=False,
    ),
]
Extension = Annotated[str, typer.Option("--extension", "-x", help="Only for this extension.")]
Purpose = Annotated[str, typer.Option("--purpose", "-p", help="Only for this purpose.")]
