"""``harmony demo``: a sample PACS and an HTTP API in front of it, with nothing to set up."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import harmony
from harmony.cli.exits import Exit

if TYPE_CHECKING:
    from harmony.demo.configuration import Ports

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
CONFIGURATION_FILE: Final = "config.toml"


def add_to(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "demo", help="run a sample PACS with an HTTP API in front of it", allow_abbrev=False
    )
    parser.add_argument(
        "--write",
        type=Path,
        metavar="DIR",
        help="write the configuration and the archive to a new folder, and run nothing",
    )
    parser.add_argument(
        "--viewer",
        type=Path,
        metavar="DIR",
        help="folder of a build of OHIF 3 (package/dist of npm's @ohif/app), to be given out, too",
    )
    parser.add_argument("--log-level", choices=LOG_LEVELS, help="least severe lines to write")
    parser.set_defaults(verb=run, log_format=None, verbose=0, quiet=False)


def run(arguments: argparse.Namespace) -> int:
    """Write the demo to ``arguments.write``, or serve it until a signal ends it."""
    from harmony.demo.filling import NotFilled  # and with it pydicom and the rest
    from harmony.demo.folders import FolderExists

    viewer = arguments.viewer
    if viewer is not None and not (viewer / "index.html").is_file():
        print(f"harmony demo: {viewer} is no build of a viewer: no index.html", file=sys.stderr)
        return Exit.USAGE
    try:
        return _serve(arguments) if arguments.write is None else _write(arguments)
    except FolderExists as exc:
        print(f"harmony demo: {exc}", file=sys.stderr)
        return Exit.USAGE
    except BrokenPipeError:
        raise  # nobody reads what is printed; no problem of the demo's
    except (NotFilled, OSError) as exc:
        print(f"harmony demo: {exc}", file=sys.stderr)
        return Exit.FINDINGS


def _serve(arguments: argparse.Namespace) -> int:
    from harmony.cli.serve import serve_file
    from harmony.demo.configuration import choose_ports
    from harmony.demo.folders import passing_folder
    from harmony.demo.hints import try_lines

    with passing_folder() as folder:
        ports = choose_ports()
        _fill(folder, ports, arguments.viewer)
        first = f"harmony {harmony.__version__} demo; Ctrl+C ends it and removes its files"
        lines = [first, *try_lines(ports, folder, viewer=arguments.viewer is not None)]
        return serve_file(folder / CONFIGURATION_FILE, arguments, lambda *_: lines)


def _write(arguments: argparse.Namespace) -> int:
    from harmony.demo.configuration import choose_ports
    from harmony.demo.folders import lasting_folder
    from harmony.demo.hints import try_lines

    path: Path = arguments.write.absolute()
    ports = choose_ports()
    with lasting_folder(path) as folder:
        _fill(folder, ports, arguments.viewer)
    file = str(path / CONFIGURATION_FILE)
    print(f"wrote {path}; check and run it with")
    print(f"  {shlex.join((*_command(sys.argv[0]), 'validate', file))}")
    print(f"  {shlex.join((*_command(sys.argv[0]), 'serve', file))}")
    print("and then try, from another shell:")
    print("\n".join(try_lines(ports, path, viewer=arguments.viewer is not None)))
    return Exit.OK


def _fill(folder: Path, ports: Ports, viewer: Path | None) -> None:
    from harmony.demo.configuration import configuration_text
    from harmony.demo.filling import fill
    from harmony.demo.viewer import CONFIGURATION_FILE as VIEWERS_FILE
    from harmony.demo.viewer import OHIF_CONFIGURATION

    fill(folder)
    if viewer is not None:
        (folder / VIEWERS_FILE).write_text(OHIF_CONFIGURATION, encoding="utf-8")
    text = configuration_text(ports, viewer.absolute() if viewer is not None else None)
    (folder / CONFIGURATION_FILE).write_text(text, encoding="utf-8")


def _command(program: str) -> Sequence[str]:
    """How this program was called, so that the same one is called again."""
    return (program,) if Path(program).name == "harmony" else (sys.executable, "-m", "harmony")
