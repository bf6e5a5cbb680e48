"""structlog, set up once. Lines go to standard error: JSON, or text for a person at a terminal."""

import logging
import sys

import structlog

Logger = structlog.stdlib.BoundLogger


def configure(level: str = "info", *, as_json: bool = True) -> None:
    render = [structlog.processors.JSONRenderer()] if as_json else [_without_controls, structlog.dev.ConsoleRenderer()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def logger(room: str) -> Logger:
    bound: Logger = structlog.get_logger(room=room)
    return bound


def _without_controls(logger: object, method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """What extensions print goes to a person's terminal: no escape sequence of theirs may."""
    return {name: _visible(value) for name, value in event.items()}


def _visible(value: object) -> object:
    if isinstance(value, dict):
        return {_visible(name): _visible(inner) for name, inner in value.items()}
    if isinstance(value, str):
        return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in value)
    return value
