"""structlog, set up once. Lines go to standard error: JSON, or text for a person at a terminal."""

import logging
import sys

import structlog

Logger = structlog.stdlib.BoundLogger


def configure(level: str = "info", *, as_json: bool = True) -> None:
    render = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def logger(room: str) -> Logger:
    bound: Logger = structlog.get_logger(room=room)
    return bound
