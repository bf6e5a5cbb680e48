"""``imperal-verify``: check an export, a receipt or a live host with nothing but the host's public key.

The key comes from the operator (``imperal-host ledger key``) by a way that you trust; a file's own word is no proof.
Exit status: 0 it holds, 1 it does not, 2 it could not be checked.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

from imperal_host.verify.export import verify_export
from imperal_host.verify.live import verify_host
from imperal_host.verify.note import Checkpoint, NotProvenError, VerifierKey, open_checkpoint
from imperal_host.verify.receipt import verify_receipt

_RECEIPT_BYTES_MAX = 1 << 20
NO_WITNESS = "No kept checkpoint was given: an older state put back whole cannot be told from this."


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    check: Callable[[argparse.Namespace, VerifierKey], bool] = options.check
    try:
        return 0 if check(options, VerifierKey.parse(_text_or_file(options.key))) else 1
    except NotProvenError as error:
        _say(f"NOT PROVEN: {error}")
        return 1
    except OSError as error:
        _say(f"could not be checked: {error}")
        return 2


def _export(options: argparse.Namespace, key: VerifierKey) -> bool:
    kept = [_checkpoint(file, key) for file in options.witness]
    with _opened(options.file) as stream:
        report = verify_export(stream, key, kept)
    for finding in report.findings:
        _say(f"{_printable(finding.tenant)} row {finding.index}: {_printable(finding.problem)}")
    if report.findings:
        _say(f"NOT PROVEN: {len(report.findings)} findings in {report.rows} rows")
        return False
    _say(f"holds: {report.rows} rows of {report.tenants} tenants, signed by {key.name}")
    _say(f"{report.open_intents} actions have no end on record")
    _say("It goes on from the kept checkpoint." if report.is_witnessed else NO_WITNESS)
    return True


def _receipt(options: argparse.Namespace, key: VerifierKey) -> bool:
    with _opened(options.file) as stream:
        proven = verify_receipt(stream.read(_RECEIPT_BYTES_MAX), key)
    _say(f"holds: this row stands in the ledger of {key.name}, signed at {proven.checkpoint.size} heads")
    _say(orjson.dumps(proven.row, option=orjson.OPT_INDENT_2).decode())
    return True


def _host(options: argparse.Namespace, key: VerifierKey) -> bool:
    seen = _checkpoint(options.seen, key) if options.seen is not None and options.seen.exists() else None
    note, newest = verify_host(options.url, key, seen)
    _say(f"holds: the host's checkpoint of {newest.size} heads is signed by {key.name}")
    _say("It goes on from the checkpoint that was seen before." if seen else NO_WITNESS)
    if options.seen is not None:
        options.seen.write_text(note, encoding="utf-8")
    return True


def _checkpoint(file: Path, key: VerifierKey) -> Checkpoint:
    return open_checkpoint(file.read_text(encoding="utf-8"), key)


def _opened(file: str) -> Any:
    return sys.stdin.buffer if file == "-" else Path(file).open("rb")


def _text_or_file(text: str) -> str:
    return text if "+" in text else Path(text).read_text(encoding="utf-8")


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("imperal-verify", description=__doc__.partition("\n\n")[0])
    commands = parser.add_subparsers(required=True)

    def command(name: str, check: Callable[[argparse.Namespace, VerifierKey], bool], says: str) -> Any:
        made = commands.add_parser(name, help=says, description=says)
        made.add_argument("--key", required=True, help="the host's public key (name+id+key), or a file that holds it")
        made.set_defaults(check=check)
        return made

    export = command("export", _export, "Check what 'imperal-host ledger export' wrote.")
    export.add_argument("file", help="the export; '-' is standard input")
    export.add_argument(
        "--witness", type=Path, action="append", default=[], help="a checkpoint that was kept elsewhere"
    )
    receipt = command("receipt", _receipt, "Check one row's receipt.")
    receipt.add_argument("file", help="the receipt; '-' is standard input")
    host = command("host", _host, "Check that a live host goes on from what it has shown before.")
    host.add_argument("url", help="such as https://host.example")
    host.add_argument("--seen", type=Path, help="the checkpoint to go on from; the newest is written there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
