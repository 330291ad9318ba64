"""Examines one PACS stage by stage, and words what to write there and here."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harmony.backends.dicom import DicomBackend, Options
from harmony.dimse.examining import Examined
from harmony.dimse.receiver import Receiver, address_towards
from harmony.envelope import Root
from harmony.errors import HarmonyError
from harmony.live.stages import Stage, before, stage_of

RECEIVER_PORT = 11112


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """How far a PACS lets us.

    Attributes:
        passed: stages that went well, in order.
        failed: the stage that did not; None if all did.
        detail, hint: what went wrong there, and what to do about it.
        examined: what it accepts; None if a stage failed.
        address: our own address on the way to it; None if there is no way.
    """

    passed: Sequence[Stage]
    failed: Stage | None = None
    detail: str = ""
    hint: str = ""
    examined: Examined | None = None
    address: str | None = None


async def diagnose(backend: DicomBackend) -> Diagnosis:
    """Associate and send a C-ECHO; asks for no patient.

    Args:
        backend: not in its `lifespan`.
    """
    options = backend.options
    address = await address_towards(options.host, options.port)
    secure = options.use_tls or options.tls is not None
    stages = tuple(stage for stage in Stage if secure or stage is not Stage.TLS)
    associated = False

    def stands() -> None:
        nonlocal associated
        associated = True

    try:
        examined = await backend.examine(stands)
    except HarmonyError as exc:
        failed = stage_of(exc.code, associated=associated)
        return Diagnosis(
            passed=tuple(stage for stage in before(failed) if stage in stages),
            failed=failed,
            detail=exc.detail,
            hint=exc.hint or "",
            address=address,
        )
    return Diagnosis(passed=stages, examined=examined, address=address)


def fitting(options: Options, diagnosis: Diagnosis) -> Options | None:
    """The options that fit what the PACS accepts; None if no retrieve is possible.

    Raises:
        ValueError: the diagnosis has a stage that failed.
    """
    examined = diagnosis.examined
    if examined is None:
        raise ValueError("the PACS was not examined to the end")
    if not (examined.get or examined.move):
        return None
    if examined.get or options.receiver is not None:
        return options
    receiver = Receiver(
        local_aet=options.local_aet,
        bind_addr=diagnosis.address or "127.0.0.1",
        port=RECEIVER_PORT,
    )
    return dataclasses.replace(options, retrieve="move", receiver=receiver)


def report(options: Options, diagnosis: Diagnosis) -> Iterator[str]:
    """Lines for people."""
    yield f"{options.aet}@{options.host}:{options.port}, called as {options.local_aet}"
    for stage in diagnosis.passed:
        yield f"  ok      {stage.value}"
    if diagnosis.failed is not None:
        yield f"  failed  {diagnosis.failed.value}: {diagnosis.detail}"
        if diagnosis.hint:
            yield f"          {diagnosis.hint}"
    if diagnosis.examined is not None:
        yield from _operations(diagnosis.examined)


def _operations(examined: Examined) -> Iterator[str]:
    found = {"C-FIND": examined.find, "C-GET": examined.get, "C-MOVE": examined.move}
    for operation, roots in found.items():
        if roots:
            models = ", ".join(root.value for root in Root if root in roots)
            yield f"  ok      {operation}: {models}"
        else:
            yield f"  -       {operation}: not accepted"


def entries_there(options: Options, diagnosis: Diagnosis) -> Iterator[str]:
    """What the PACS must know of us, in words and as Orthanc wants it."""
    host = diagnosis.address or "this machine's address"
    receiver = options.receiver
    if isinstance(receiver, str):
        yield from _entry("harmony", options.local_aet, host, None)
        yield f"  and the AE title, host and port of endpoint {receiver}, to which it sends"
    elif receiver is None:
        yield from _entry("harmony", options.local_aet, host, None)
    else:
        if receiver.local_aet != options.local_aet:
            yield from _entry("harmony", options.local_aet, host, None)
        yield from _entry("receiver", receiver.local_aet, host, receiver.port)


def _entry(name: str, aet: str, host: str, port: int | None) -> Iterator[str]:
    yield f"  AE title  {aet}"
    yield f"  host      {host}"
    yield f"  port      {port if port is not None else 'any: it does not call this title'}"
    entry = json.dumps([aet, host, port if port is not None else RECEIVER_PORT])
    yield f'  Orthanc   "DicomModalities": {{ "{name}": {entry} }}'


def backend_text(name: str, options: Options) -> str:
    """The backend as TOML, with what is not as usual."""
    lines = [f"[backends.{name}]", 'service = "dicom"', f"[backends.{name}.options]"]
    lines += [f"aet = {_quoted(options.aet)}", f"host = {_quoted(options.host)}"]
    lines += [f"port = {options.port}", f"local_aet = {_quoted(options.local_aet)}"]
    if isinstance(options.receiver, Receiver):
        receiver = options.receiver
        lines += [f"retrieve = {_quoted(options.retrieve)}", ""]
        lines += [f"[backends.{name}.options.receiver]"]
        lines += [f"local_aet = {_quoted(receiver.local_aet)}"]
        lines += [f"bind_addr = {_quoted(receiver.bind_addr)}", f"port = {receiver.port}"]
    return "\n".join(lines) + "\n"


def configuration_text(options: Options) -> str:
    """A whole configuration: JSON API and DICOMweb in front of the PACS, for this machine alone.

    Args:
        options: as `fitting` says.
    """
    return f"""\
# HTTP in front of {options.aet}: a JSON API at /dicom, DICOMweb at /dicom-web.

[networks.default]
bind_addr = "127.0.0.1"
http = {{ port = 8080 }}

[pipelines.pacs]
endpoints = ["json", "dicomweb"]
backends = ["pacs"]

[endpoints.json]
service = "http"
options = {{ path_prefix = "/dicom" }}

[endpoints.dicomweb]
service = "dicomweb"
options = {{ path_prefix = "/dicom-web" }}

{backend_text("pacs", options)}"""


def _quoted(text: str) -> str:
    return json.dumps(text)  # a basic string of TOML, for ASCII without control characters
