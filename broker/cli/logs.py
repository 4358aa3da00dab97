"""Where logs go and what they look like: structlog's own and the standard library's, alike.

Payloads and credentials are not written, whatever the level: botocore and aiobotocore log request and response bodies,
headers and signatures at DEBUG, so these loggers never go below INFO.
"""

import json
import logging
import sys
from typing import Literal, TextIO

import orjson
import structlog

PINNED_LOGGERS = ("botocore", "aiobotocore", "aiohttp", "boto3", "urllib3", "s3transfer")
"""Loggers of libraries that carry what passes through the broker."""

LOST_COUNT = "lost_count"
"""The field in which the standard library's `extra` says how many lines were lost."""

LogFormat = Literal["auto", "console", "json"]
"""`auto` is `console` where a person reads and `json` where a machine does."""
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


def configure_logging(*, log_format: LogFormat, level: LogLevel, stream: TextIO | None = None) -> None:
    """Sends all logs of the process to `stream` (standard error where there is none)."""
    target = stream or sys.stderr
    for_people = is_for_people(log_format, target)
    threshold = logging.getLevelNamesMapping()[level]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            *_common(for_people=for_people),
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(allow=[LOST_COUNT]),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *_rendering(target, for_people=for_people),
        ],
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=threshold, force=True)
    logging.captureWarnings(capture=True)
    for name in PINNED_LOGGERS:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    structlog.configure(
        processors=[*_common(for_people=for_people), *_rendering(target, for_people=for_people)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )


def is_for_people(log_format: LogFormat, stream: TextIO) -> bool:
    """Whether a person reads the logs."""
    return log_format == "console" or (log_format == "auto" and stream.isatty())


def _common(*, for_people: bool) -> list[structlog.typing.Processor]:
    clock = structlog.processors.TimeStamper(fmt="%H:%M:%S" if for_people else "iso", utc=not for_people, key="time")
    return [structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level, clock]


def _rendering(stream: TextIO, *, for_people: bool) -> list[structlog.typing.Processor]:
    if not for_people:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_dumps)]
    return [
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(),
            timestamp_key="time",
            pad_event_to=20,
            sort_keys=False,
            exception_formatter=structlog.dev.plain_traceback,
        )
    ]


def _dumps(value: object, **_options: object) -> str:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # text of a handler may hold what UTF-8 has not (lone surrogates): escaped then
        return json.dumps(value, default=str)
