"""``harmony serve``: the file, the start lines, the daemon, and how it ended."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias, cast

import trio

import harmony
from harmony import config
from harmony.admin.pages import BoundListener, Readiness
from harmony.assembly import assemble
from harmony.cli.exits import Exit
from harmony.config.findings import Severity
from harmony.config.model import Configuration, Log
from harmony.config.report import render_text
from harmony.config.wording import quoted
from harmony.daemon.running import Daemon
from harmony.dimse.engines import Engines
from harmony.telemetry import log
from harmony.telemetry.exchanges import Reporter
from harmony.telemetry.metrics import Metrics

MAX_START_LINES: Final = 10
MAX_LINK_THREADS: Final = 1024  # a backstop; the backends' own limits come first

StartLines: TypeAlias = Callable[[Configuration, int, Readiness], Sequence[str]]

_logger = log.get_logger(__name__)


class BadVariable(Exception):
    """The environment says something that cannot be meant."""


def run(arguments: argparse.Namespace) -> int:
    """Serve ``arguments.file`` until a signal ends it; answer the exit code."""
    return serve_file(arguments.file, arguments, start_lines)


def serve_file(file: Path, arguments: argparse.Namespace, lines: StartLines) -> int:
    """Serve `file` until a signal ends it; answer the exit code.

    Args:
        arguments: those of the log, as `log_settings` takes them.
        lines: what to print once all listeners are bound.
    """
    loaded = config.load(file)
    if loaded.count(Severity.ERROR) or loaded.count(Severity.WARNING):
        sys.stderr.write(render_text(loaded, verbose=False, colour=False))
    if loaded.configuration is None:
        return Exit.BAD_CONFIGURATION
    try:
        level, form = log_settings(loaded.configuration.log, arguments, os.environ)
    except BadVariable as exc:
        print(f"harmony: {exc}", file=sys.stderr)
        return Exit.USAGE
    with log.configured(level, form, sys.stderr):
        return _serve(loaded.configuration, len(loaded.files), lines)


def _serve(configuration: Configuration, files: int, lines: StartLines) -> int:
    metrics = Metrics()
    reporter = Reporter(_logger, metrics)

    def announce(readiness: Readiness) -> None:
        print("\n".join(lines(configuration, files, readiness)), flush=True)

    engines = Engines(threads=trio.CapacityLimiter(MAX_LINK_THREADS))

    async def main() -> int:
        try:
            assembly = assemble(
                configuration,
                observer=reporter,
                engines=engines,
                state_dir=_state_dir(configuration),
            )
        except (OSError, ValueError) as exc:
            print(f"harmony: {exc}", file=sys.stderr)
            return Exit.BAD_CONFIGURATION
        daemon = Daemon(
            configuration,
            assembly,
            metrics=metrics,
            reporter=reporter,
            on_ready=announce,
        )
        ended = await daemon.run()
        if ended.problem is not None:
            print(f"harmony: {ended.problem}", file=sys.stderr)
        return ended.code

    try:
        return trio.run(main)
    except Exception:
        _logger.exception("daemon.failed")
        raise


def _state_dir(configuration: Configuration) -> Path | None:
    """The state directory, made if need be; None if neither environment nor file names one.

    Raises:
        OSError: it cannot be made or written to.
    """
    named = os.environ.get("HARMONY_STATE_DIR") or configuration.proxy.state_dir
    if not named:
        return None
    folder = configuration.file.parent / named
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write to the state directory {folder}")
    return folder


def start_lines(configuration: Configuration, files: int, readiness: Readiness) -> Sequence[str]:
    """What is printed once all listeners are bound: at most `MAX_START_LINES` lines."""
    more = f" and {files - 1} more" if files > 1 else ""
    first = f"harmony {harmony.__version__} serves {configuration.file}{more}"
    listeners = [_listener_line(bound) for bound in readiness.listeners]
    admin = [line for line in listeners if line.startswith("admin")]
    others = [line for line in listeners if line not in admin]
    pipelines = [
        f"pipeline  {pipeline.name}: {' + '.join(pipeline.endpoints)}"
        f" -> {' + '.join(pipeline.backend_names)}"
        for pipeline in configuration.pipelines.values()
    ]
    used = dict.fromkeys(
        name for pipeline in configuration.pipelines.values() for name in pipeline.backend_names
    )
    backends = [f"backend   {name} ({configuration.backends[name].service})" for name in used]
    room = MAX_START_LINES - 1 - len(admin)
    groups = _shorten({"listeners": others, "pipelines": pipelines, "backends": backends}, room)
    return [first, *groups, *admin]


def _listener_line(bound: BoundListener) -> str:
    at = bound.listening
    host = f"[{at.host}]" if ":" in at.host else at.host
    if at.kind == "dicom":
        return f"dicom     {bound.name}: {host}:{at.port}"
    name = "" if at.kind == "admin" else f"{bound.name}: "
    return f"{at.kind:<10}{name}http://{host}:{at.port}"


def _shorten(groups: Mapping[str, list[str]], room: int) -> list[str]:
    """All lines if there is room, else the first of each group and how many more there are."""
    lines = [line for group in groups.values() for line in group]
    if len(lines) <= room:
        return lines
    each = room // len(groups)
    shown: list[str] = []
    for name, group in groups.items():
        if len(group) <= each:
            shown += group
        else:
            kept = group[: each - 1]
            shown += [*kept, f"          and {len(group) - len(kept)} more {name}"]
    return shown


def log_settings(
    settings: Log, arguments: argparse.Namespace, environment: Mapping[str, str]
) -> tuple[log.Level, log.Format]:
    """Level and format: by argument, else by environment, else by the file.

    Raises:
        BadVariable: a variable of the environment has a value that is none.
    """
    level = _variable(environment, "HARMONY_LOG_LEVEL", log.LEVELS)
    form = _variable(environment, "HARMONY_LOG_FORMAT", log.FORMATS)
    loudness = "warning" if arguments.quiet else "debug" if arguments.verbose else None
    return (
        cast(log.Level, arguments.log_level or loudness or level or settings.level),
        cast(log.Format, arguments.log_format or form or settings.format),
    )


def _variable(environment: Mapping[str, str], name: str, known: Sequence[str]) -> str | None:
    value = environment.get(name)
    if value and value not in known:
        raise BadVariable(f"{name} is `{quoted(value)}`, not one of {', '.join(known)}")
    return value
