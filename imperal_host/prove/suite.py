"""All attempts, in the order they are made: one frozen table."""

from imperal_host.prove.row import Row
from imperal_host.prove.table import asks, calls, contact, files, limits

SUITE: tuple[Row, ...] = (*files.ROWS, *contact.ROWS, *calls.ROWS, *limits.ROWS, *asks.ROWS)
LOADING = "never load: "
