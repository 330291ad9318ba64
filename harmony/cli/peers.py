"""``harmony echo``, ``doctor``, ``init``: what one PACS says, with or without a configuration."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harmony.cli.exits import Exit

if TYPE_CHECKING:  # --help must not wait for trio and pynetdicom
    from harmony.backends.dicom import DicomBackend

_PEER = "AET@HOST:PORT, or with -c the name of a backend"
_LOCAL_AET = "HARMONY"


class NoSuchPeer(Exception):
    """What was named is no PACS that can be called."""


def add_to(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verbs."""
    echo = verbs.add_parser("echo", help="send a C-ECHO to a PACS", allow_abbrev=False)
    _add_peer(echo)
    echo.set_defaults(verb=_echo)

    doctor = verbs.add_parser(
        "doctor",
        help="say what a PACS accepts, and what to write there and here",
        allow_abbrev=False,
    )
    _add_peer(doctor)
    doctor.set_defaults(verb=_doctor)

    init = verbs.add_parser(
        "init", help="ask a PACS, and write a configuration that fits", allow_abbrev=False
    )
    init.add_argument("--pacs", required=True, metavar="PEER", dest="peer", help="AET@HOST:PORT")
    _add_local(init)
    init.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("config.toml"),
        metavar="FILE",
        help="a new file (config.toml)",
    )
    init.set_defaults(verb=_init, config=None)


def _add_peer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("peer", metavar="PEER", help=_PEER)
    parser.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help="where the backend is written"
    )
    _add_local(parser)


def _add_local(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--local-aet", metavar="AET", help=f"our AE title ({_LOCAL_AET})")


def _echo(arguments: argparse.Namespace) -> int:
    import trio

    from harmony.errors import HarmonyError

    try:
        backend = _backend(arguments)
    except (NoSuchPeer, ValueError) as exc:
        return _wrong("echo", exc)
    try:
        seconds = trio.run(backend.echo)
    except HarmonyError as exc:
        print(f"harmony echo: {exc.detail}", file=sys.stderr)
        if exc.hint:
            print(f"  {exc.hint}", file=sys.stderr)
        return Exit.LIVE
    caller = backend.options.local_aet
    print(f"{backend.peer} answers {caller}'s C-ECHO in {seconds * 1000:.1f} ms")
    return Exit.OK


def _doctor(arguments: argparse.Namespace) -> int:
    import trio

    from harmony.live.doctor import backend_text, diagnose, entries_there, fitting, report

    try:
        backend = _backend(arguments)
    except (NoSuchPeer, ValueError) as exc:
        return _wrong("doctor", exc)
    diagnosis = trio.run(diagnose, backend)
    lines = list(report(backend.options, diagnosis))
    failed = diagnosis.failed is not None
    options = backend.options if failed else fitting(backend.options, diagnosis)
    if options is None:
        lines += ["", "It gives no images: neither C-GET nor C-MOVE is accepted from us."]
        failed, options = True, backend.options
    lines += ["", "What the PACS must know:", *entries_there(options, diagnosis)]
    if arguments.config is None and not failed:
        lines += ["", "The backend here:", "", backend_text("pacs", options).rstrip("\n")]
    print("\n".join(lines))
    return Exit.LIVE if failed else Exit.OK


def _init(arguments: argparse.Namespace) -> int:
    import trio

    from harmony.live.doctor import configuration_text, diagnose, fitting, report

    try:
        backend = _backend(arguments)
    except (NoSuchPeer, ValueError) as exc:
        return _wrong("init", exc)
    diagnosis = trio.run(diagnose, backend)
    options = None if diagnosis.failed is not None else fitting(backend.options, diagnosis)
    if options is None or not (diagnosis.examined and diagnosis.examined.find):
        print("\n".join(report(backend.options, diagnosis)), file=sys.stderr)
        print(
            f"harmony init: nothing is written; `harmony doctor {arguments.peer}` says more",
            file=sys.stderr,
        )
        return Exit.LIVE
    try:
        with arguments.output.open("x", encoding="utf-8") as file:
            file.write(configuration_text(options))
    except OSError as exc:
        reason = os.strerror(exc.errno).lower() if exc.errno else "not possible"
        print(f"harmony init: cannot write {arguments.output}: {reason}", file=sys.stderr)
        return Exit.USAGE
    print(f"{arguments.output} is written; `harmony serve {arguments.output}` starts it")
    return Exit.OK


def _backend(arguments: argparse.Namespace) -> DicomBackend:
    """The PACS that is meant.

    Raises:
        NoSuchPeer, ValueError
    """
    from harmony.backends.dicom import DicomBackend, Options
    from harmony.dimse.trio_engine import open_link
    from harmony.live.peers import Peer, checked_aet

    local_aet = arguments.local_aet
    if arguments.config is not None:
        if local_aet is not None:
            raise NoSuchPeer("--local-aet is for a PACS that no file describes")
        return _configured(arguments.config, arguments.peer)
    peer = Peer.parse(arguments.peer)
    local_aet = checked_aet(_LOCAL_AET if local_aet is None else local_aet)
    options = Options(aet=peer.aet, host=peer.host, port=peer.port, local_aet=local_aet)
    return DicomBackend("pacs", options, open_link)


def _configured(file: Path, name: str) -> DicomBackend:
    from harmony.backends.dicom import DicomBackend
    from harmony.cli.connecting import assembled
    from harmony.config import load

    loaded = load(file)
    if loaded.configuration is None:
        raise NoSuchPeer(f"{file} is not valid; `harmony validate {file}` says why")
    backend = assembled(loaded.configuration).backends.get(name)
    if backend is None:
        raise NoSuchPeer(f"no pipeline of {file} has a backend {name}")
    if not isinstance(backend, DicomBackend):
        raise NoSuchPeer(f"backend {name} is no PACS: its service is not dicom")
    return backend


def _wrong(verb: str, reason: Exception) -> int:
    print(f"harmony {verb}: {reason}", file=sys.stderr)
    return Exit.USAGE
