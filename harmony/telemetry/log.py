"""One form for every log line, ours and the libraries', with nothing of a patient in it.

The rule is an allow-list: a line has an event, a word such as ``exchange.finished``, and keys
from `KEYS` with plain values. What is not on the list is dropped and counted in ``dropped``.
Libraries write sentences, which may quote a data set; of those only the logger's name and the
level are told, unless the logger's sentences are known.

Nothing happens on import. `get_logger` works before `configure` and needs no undoing; only
`configure` touches the process (stdlib's root logger), and gives back a way to undo it.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import math
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Final, Literal, Protocol, TextIO, TypeAlias, cast, get_args

import msgspec
import structlog

from harmony.telemetry import failures

Scalar: TypeAlias = str | int | float | bool | None
Level: TypeAlias = Literal["debug", "info", "warning", "error"]
Format: TypeAlias = Literal["auto", "console", "json", "logfmt"]
_Line: TypeAlias = MutableMapping[str, object]

LEVELS: Final = get_args(Level)
FORMATS: Final = get_args(Format)
MAX_TEXT: Final = 200

# In the order in which they are shown.
KEYS: Final = (
    "time",
    "level",
    "event",
    "request_id",
    "pipeline",
    "endpoint",
    "backend",
    "peer",
    "caller",
    "operation",
    "outcome",
    "status",
    "dimse_status",
    "ms",
    "bytes",
    "items",
    "network",
    "listener",
    "address",
    "host",
    "port",
    "signal",
    "state",
    "code",
    "reason",
    "error",
    "where",
    "count",
    "seconds",
    "name",
    "depth",
    "file",
    "version",
    "logger",
    "text",
    "dropped",
)
_ALLOWED = frozenset(KEYS)
_EVENT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")

# Sentences of these loggers are known to quote nothing that a peer sent. The others' are not.
_KNOWN_SENTENCES = frozenset(("harmony.web", "hypercorn.error"))
_NOISY = ("pynetdicom", "pydicom", "hypercorn.access", "httpx2", "httpcore2")


class Logger(Protocol):
    """Tells events. Keys outside `KEYS` are dropped; a failure is told by ``exc_info``."""

    def debug(self, event: str, /, **keys: Scalar) -> None: ...
    def info(self, event: str, /, **keys: Scalar) -> None: ...
    def warning(self, event: str, /, **keys: Scalar) -> None: ...
    def error(self, event: str, /, **keys: Scalar) -> None: ...

    def exception(self, event: str, /, **keys: Scalar) -> None:
        """Tell an event at level error, with the exception being handled."""
        ...


def get_logger(name: str) -> Logger:
    """A logger for one module, named as the module is."""
    return cast(
        Logger,
        structlog.wrap_logger(
            logging.getLogger(name),
            processors=[
                structlog.stdlib.filter_by_level,
                _tell_failure,
                _allow,
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
        ),
    )


def configure(level: Level, form: Format, stream: TextIO) -> Callable[[], None]:
    """Send the log of the whole process to a stream.

    Python's warnings, and failures of threads that nobody waits for, become lines too: left
    alone, both print what they were given, and that may be a patient's name.

    Returns:
        A function that undoes it.
    """
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_reduce_foreign, _tell_failure, _allow],
            processors=[
                _stamp,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _order,
                _renderer(form, stream),
            ],
        )
    )
    root = logging.getLogger()
    undo = contextlib.ExitStack()
    undo.callback(_set_handlers, root, root.handlers[:])
    undo.callback(root.setLevel, root.level)
    _set_handlers(root, [handler])
    root.setLevel(level.upper())
    for name in _NOISY:
        logger = logging.getLogger(name)
        undo.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.WARNING)
    undo.callback(setattr, warnings, "showwarning", warnings.showwarning)
    warnings.showwarning = _show_warning
    undo.callback(setattr, threading, "excepthook", threading.excepthook)
    threading.excepthook = _thread_failed
    return undo.close


@contextlib.contextmanager
def configured(level: Level, form: Format, stream: TextIO) -> Iterator[None]:
    """`configure` for the length of a block."""
    undo = configure(level, form, stream)
    try:
        yield
    finally:
        undo()


def one_line(text: str) -> str:
    """Printable characters only, on one line, at most `MAX_TEXT`."""
    shown = text
    if not text.isprintable():
        shown = "".join(c if c.isprintable() else " " for c in text)
    return shown if len(shown) <= MAX_TEXT else shown[: MAX_TEXT - 1] + "…"


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - stdlib's name
        """Lose the line. The library would print the record's arguments to standard error."""


def _set_handlers(logger: logging.Logger, handlers: list[logging.Handler]) -> None:
    logger.handlers[:] = handlers


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    # pydicom's warnings quote element values.
    place = failures.own_place(filename, lineno)
    get_logger("py.warnings").warning(
        "library.warning", error=category.__name__, **({"where": place} if place else {})
    )


def _thread_failed(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread else None
    if args.exc_value is not None:
        failure = failures.describe(args.exc_value)
        get_logger("harmony.threads").error(
            "thread.failed", name=name, error=failure.error, where=failure.where
        )


# Processors: each takes a line and gives it on, changed.


def _reduce_foreign(logger: logging.Logger, method: str, line: _Line) -> _Line:
    """Of a sentence, keep what is known to be harmless."""
    record = cast(logging.LogRecord, line["_record"])
    sentence = str(line.pop("event", ""))
    reduced: _Line = {
        **{key: line[key] for key in ("_record", "_from_structlog") if key in line},
        "event": "library.message",
        "logger": record.name,
    }
    if record.name in _KNOWN_SENTENCES:
        reduced["text"] = sentence.partition("\n")[0]
    if record.exc_info is not None and record.exc_info[1] is not None:
        reduced["exc_info"] = record.exc_info[1]
    return reduced


def _tell_failure(logger: logging.Logger, method: str, line: _Line) -> _Line:
    """Replace an exception by its type and place."""
    exc = line.pop("exc_info", None)
    if exc is True:
        exc = sys.exc_info()[1]
    if isinstance(exc, BaseException):
        failure = failures.describe(exc)
        line["error"], line["where"] = failure.error, failure.where
        if failure.code is not None:
            line.setdefault("code", failure.code)
            line.setdefault("reason", failure.reason)
    return line


def _allow(logger: logging.Logger, method: str, line: _Line) -> _Line:
    """Let through what is on the list, and count the rest."""
    passed: _Line = {}
    dropped = 0
    for key, value in line.items():
        if key in ("_record", "_from_structlog"):
            passed[key] = value
        elif key not in _ALLOWED or not isinstance(value, Scalar):
            dropped += 1
        elif value is not None:
            passed[key] = _plain(value)
    event = passed.get("event")
    if not isinstance(event, str) or _EVENT.fullmatch(event) is None:
        passed["event"] = "log.unnamed"  # a sentence where an event should be
    if dropped:
        passed["dropped"] = dropped
    return passed


def _plain(value: Scalar) -> Scalar:
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _stamp(logger: logging.Logger, method: str, line: _Line) -> _Line:
    record = cast(logging.LogRecord, line["_record"])
    line["time"] = timestamp(record.created)
    line["level"] = record.levelname.lower()
    return line


def timestamp(seconds: float) -> str:
    """UTC with milliseconds."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _order(logger: logging.Logger, method: str, line: _Line) -> _Line:
    return {key: line[key] for key in KEYS if key in line}


def _renderer(form: Format, stream: TextIO) -> structlog.typing.Processor:
    terminal = stream.isatty()
    if form == "console" or (form == "auto" and terminal):
        return structlog.dev.ConsoleRenderer(
            colors=terminal and not os.environ.get("NO_COLOR"),
            sort_keys=False,
            timestamp_key="time",
            pad_event_to=24,
        )
    if form == "logfmt":
        return structlog.processors.LogfmtRenderer(bool_as_flag=False)
    return _json


def _json(logger: logging.Logger, method: str, line: Mapping[str, object]) -> str:
    return msgspec.json.encode(line).decode()
