"""What to try once a demo runs: lines that work when they are pasted into another shell."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harmony.demo.configuration import (
    HOST,
    PACS_AET,
    PATH_PREFIX,
    WEB_PREFIX,
    WORKSTATION_AET,
    Ports,
)
from harmony.demo.objects import study_uid

RECEIVED_FOLDER: Final = "received"
TO_SEND_FILES: Final = ("new-1.dcm", "new-2.dcm")
_STUDY: Final = study_uid(3)


def dicom_lines(ports: Ports, folder: Path) -> tuple[str, ...]:
    """The sample PACS by DCMTK."""
    pacs = ("-aec", PACS_AET, HOST, f"{ports.pacs}")
    study = ("-k", "QueryRetrieveLevel=STUDY", "-k")
    names = (*study, "PatientName", "-k", "ModalitiesInStudy")
    one = (*study, f"StudyInstanceUID={_STUDY}", "-od", f"{folder / RECEIVED_FOLDER}")
    move = ("-aem", WORKSTATION_AET, "+P", f"{ports.workstation}")
    return (
        shlex.join(("echoscu", *pacs)),
        shlex.join(("findscu", "-S", *names, *pacs)),
        shlex.join(("getscu", "-S", *one, *pacs)),
        shlex.join(("movescu", "-S", *move, *one, *pacs)),
        shlex.join(("storescu", *pacs, f"{folder / TO_SEND_FILES[0]}")),
    )


def http_lines(ports: Ports, folder: Path) -> tuple[str, ...]:
    """The HTTP API by curl."""
    url = f"http://{HOST}:{ports.http}{PATH_PREFIX}"
    find = {"query_level": "STUDY", "patient_name": "demo*"}
    get = {"query_level": "STUDY", "study_instance_uid": _STUDY}
    answer = folder / RECEIVED_FOLDER / "study.multipart"
    return (
        shlex.join(("curl", f"{url}/echo")),
        shlex.join(("curl", f"{url}/find", *_json(find))),
        shlex.join(("curl", f"{url}/get", "-o", f"{answer}", *_json(get))),
        shlex.join(
            (
                *("curl", f"{url}/store", "-H", "Content-Type: application/dicom"),
                *("--data-binary", f"@{folder / TO_SEND_FILES[1]}"),
            )
        ),
    )


def web_lines(ports: Ports) -> tuple[str, ...]:
    """DICOMweb by curl."""
    url = f"http://{HOST}:{ports.http}{WEB_PREFIX}"
    return (
        shlex.join(("curl", f"{url}/studies?PatientName=demo*&limit=10")),
        shlex.join(("curl", f"{url}/studies/{_STUDY}/metadata")),
    )


def _json(body: Mapping[str, str]) -> tuple[str, ...]:
    return ("-H", "Content-Type: application/json", "-d", json.dumps(body))


def try_lines(ports: Ports, folder: Path, *, viewer: bool = False) -> list[str]:
    """Where everything is and what to do with it, in a dozen lines and some.

    Args:
        folder: absolute, so that the lines work wherever they are pasted.
        viewer: whether OHIF is there, too.
    """
    look = [f"OHIF   http://{HOST}:{ports.http}/, in a browser"] if viewer else []
    return [
        f"DICOM  {PACS_AET} at {HOST}:{ports.pacs}, with invented studies in many scripts",
        *(f"  {line}" for line in dicom_lines(ports, folder)),
        f"HTTP   http://{HOST}:{ports.http}{PATH_PREFIX}, and in front of that PACS",
        *(f"  {line}" for line in http_lines(ports, folder)),
        f"Web    http://{HOST}:{ports.http}{WEB_PREFIX}, DICOMweb for viewers",
        *(f"  {line}" for line in web_lines(ports)),
        *look,
        f"Admin  http://{HOST}:{ports.admin}/readyz and /metrics",
        f"Files  {folder}",
    ]
