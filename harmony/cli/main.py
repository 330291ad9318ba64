"""Arguments, dispatch, and what happens when a verb does not end well."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

import harmony
from harmony.cli import archive, demo, peers
from harmony.cli.exits import Exit
from harmony.cli.files import choose_file

LOG_LEVELS = ("debug", "info", "warning", "error")
VALIDATE_FORMATS = ("text", "json", "github", "sarif")
LOG_FORMATS = ("auto", "console", "json", "logfmt")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; answer the exit code. Nothing but a bug of Python itself escapes."""
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as end:  # argparse has printed what it had to say
        return end.code if isinstance(end.code, int) else Exit.USAGE
    for stream in (sys.stdout, sys.stderr):
        _print_anything(stream)
    try:
        verb: Callable[[argparse.Namespace], int] = arguments.verb
        code = verb(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # What is still buffered would raise again when Python closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BROKEN_PIPE
    except Exception as error:
        print(_bug_report(error), file=sys.stderr)
        return Exit.BUG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="harmony",
        description="A proxy that joins DIMSE, the DICOM network protocol of PACS, and HTTP.",
        epilog="exit codes: 0 done, 1 findings, 2 wrong use, 3 a bug, 4 a peer was not reached, "
        "78 serve refused the file",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"harmony {harmony.__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    serve = verbs.add_parser(
        "serve", aliases=["run"], help="run what the file says", allow_abbrev=False
    )
    _add_file(serve)
    serve.add_argument("--log-level", choices=LOG_LEVELS, help="least severe lines to write")
    serve.add_argument("--log-format", choices=LOG_FORMATS, help="how log lines look")
    serve.add_argument("-v", "--verbose", action="count", default=0, help="log more; may repeat")
    serve.add_argument("-q", "--quiet", action="store_true", help="log warnings and errors only")
    serve.set_defaults(verb=_serve)

    validate = verbs.add_parser(
        "validate", help="list everything that is wrong with a file", allow_abbrev=False
    )
    _add_file(validate)
    validate.add_argument("--format", choices=VALIDATE_FORMATS, default="text")
    validate.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="CODE",
        help="leave out a warning, such as W304; may repeat",
    )
    validate.add_argument(
        "--no-files", action="store_true", help="look at no certificates, keys and secrets"
    )
    validate.add_argument(
        "--no-environment", action="store_true", help="look at no environment variables"
    )
    validate.add_argument(
        "--connect", action="store_true", help="reach the peers, too, and bind the ports"
    )
    validate.add_argument(
        "--connect-timeout",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="that each peer may take (5)",
    )
    validate.add_argument("--deny-warnings", action="store_true", help="exit 1 for warnings too")
    validate.add_argument("-v", "--verbose", action="store_true", help="show notes too")
    validate.add_argument("--no-color", action="store_true", help="as with NO_COLOR set")
    validate.set_defaults(verb=_validate)

    explain = verbs.add_parser("explain", help="say what a finding means", allow_abbrev=False)
    which = explain.add_mutually_exclusive_group(required=True)
    which.add_argument("code", nargs="?", metavar="CODE", help="such as HRM-E103 or E103")
    which.add_argument("--all", action="store_true", dest="every", help="all rules")
    explain.add_argument("--format", choices=("text", "json"), default="text")
    explain.set_defaults(verb=_explain)

    schema = verbs.add_parser(
        "schema", help="print the JSON Schema of the file or of a service", allow_abbrev=False
    )
    schema.add_argument("role", nargs="?", metavar="ROLE", help="endpoint, middleware or backend")
    schema.add_argument("service", nargs="?", metavar="SERVICE", help="such as dicom")
    schema.add_argument(
        "--for",
        choices=("validator", "editor"),
        default="validator",
        dest="reader",
        help="who reads it: editors of TOML want one without embedded documents",
    )
    schema.set_defaults(verb=_schema)

    peers.add_to(verbs)
    demo.add_to(verbs)
    archive.add_to(verbs)

    version = verbs.add_parser("version", help="versions of Harmony, Python and libraries")
    version.set_defaults(verb=_version)
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("from 0 to 3600 seconds")
    return seconds


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="default: $HARMONY_CONFIG, ./config.toml, /etc/harmony/config.toml",
    )


def _serve(arguments: argparse.Namespace) -> int:
    if not _choose(arguments):
        return Exit.USAGE
    from harmony.cli.serve import run  # trio, pynetdicom and the rest

    return run(arguments)


def _validate(arguments: argparse.Namespace) -> int:
    if not _choose(arguments):
        return Exit.USAGE
    from harmony.cli.validating import Formats, ignored_codes
    from harmony.config import Severity, load

    try:
        ignored = ignored_codes(arguments.ignore)
    except ValueError as exc:
        print(f"harmony validate: {exc}", file=sys.stderr)
        return Exit.USAGE
    loaded = load(
        arguments.file,
        files=not arguments.no_files,
        environment=not arguments.no_environment,
        ignored=ignored,
    )
    valid = loaded.configuration is not None
    unreached = False
    if arguments.connect and valid:
        from harmony.cli.connecting import connected  # trio, pynetdicom and the rest

        before = loaded.count(Severity.ERROR)
        try:
            loaded = connected(loaded, seconds=arguments.connect_timeout)
        except ValueError as exc:  # a file that was not looked at
            print(f"harmony validate: {exc}", file=sys.stderr)
            return Exit.FINDINGS
        unreached = loaded.count(Severity.ERROR) > before
    colour = use_colour(sys.stdout, refused=arguments.no_color)
    formats = Formats(verbose=arguments.verbose, colour=colour)
    sys.stdout.write(formats.render(loaded, arguments.format))
    denied = arguments.deny_warnings and loaded.count(Severity.WARNING)
    if not valid or denied:
        return Exit.FINDINGS
    return Exit.LIVE if unreached else Exit.OK


def _explain(arguments: argparse.Namespace) -> int:
    from harmony.cli import reference

    return reference.explain(
        arguments.code,
        every=arguments.every,
        as_json=arguments.format == "json",
        out=sys.stdout,
    )


def _schema(arguments: argparse.Namespace) -> int:
    from harmony.cli import reference

    return reference.print_schema(
        arguments.role, arguments.service, editor=arguments.reader == "editor", out=sys.stdout
    )


def _version(_: argparse.Namespace) -> int:
    from harmony.cli.versions import version_text

    sys.stdout.write(version_text())
    return Exit.OK


def use_colour(stream: TextIO, *, refused: bool = False) -> bool:
    """Whether `stream` is a terminal that shows colours, and nobody asked for none."""
    wanted = not refused and not os.environ.get("NO_COLOR")
    return wanted and os.environ.get("TERM") != "dumb" and stream.isatty()


def _choose(arguments: argparse.Namespace) -> bool:
    """Settle ``arguments.file`` and say so; False if there is no file to take."""
    chosen = choose_file(arguments.file, os.environ)
    if chosen.note:
        print(f"harmony: {chosen.note}", file=sys.stderr)
    arguments.file = chosen.path
    return chosen.path is not None


def _print_anything(stream: TextIO) -> None:
    """A character that the terminal does not know must not end the program."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _bug_report(error: Exception) -> str:
    """One line that says where, and not with what values: those may be private."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"
    return (
        f"harmony: this is a bug in Harmony {harmony.__version__} "
        f"({type(error).__name__} at {where}); please report it with this line"
    )
