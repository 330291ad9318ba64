"""Ways to ask a PACS: Harmony's HTTP, a DCMTK process a request, plain pynetdicom.

Each contender has the same four methods. They return what they got, so that a bench that got
too little fails instead of looking fast.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)

_FIND = StudyRootQueryRetrieveInformationModelFind
_GET = StudyRootQueryRetrieveInformationModelGet
_KEYS = ("00080016", "00200013", "00280010", "00280011")
_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Peer:
    """The PACS that all contenders ask."""

    aet: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Series:
    """A series in the PACS, and how much there is of it."""

    study_uid: str
    series_uid: str
    instances: int


class Contender(Protocol):
    name: str

    def echo(self) -> None: ...
    def find(self, series: Series) -> int:
        """Rows of an IMAGE level query of this series."""
        ...

    def get(self, series: Series) -> int:
        """Bytes of all its instances."""
        ...


class Harmony:
    """A running `harmony serve`, asked over one kept HTTP connection."""

    name = "harmony http"

    def __init__(self, host: str, port: int, prefix: str) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
        self._prefix = prefix

    def close(self) -> None:
        self._connection.close()

    def echo(self) -> None:
        assert json.loads(self._post("/echo", None))["success"] is True

    def find(self, series: Series) -> int:
        body = {
            "query_level": "IMAGE",
            "study_instance_uid": series.study_uid,
            "series_instance_uid": series.series_uid,
            "return": list(_KEYS),
        }
        return len(json.loads(self._post("/find", body)))

    def get(self, series: Series) -> int:
        body = {
            "query_level": "SERIES",
            "study_instance_uid": series.study_uid,
            "series_instance_uid": series.series_uid,
        }
        return sum(len(piece) for piece in self._pieces("/get", body))

    def _post(self, path: str, body: object) -> bytes:
        return b"".join(self._pieces(path, body))

    def _pieces(self, path: str, body: object) -> Iterator[bytes]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        self._connection.request("POST", self._prefix + path, data, headers)
        answer = self._connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {answer.read()[:300]!r}")
        while piece := answer.read(256 * 1024):
            yield piece


class Dcmtk:
    """One DCMTK process for each request."""

    name = "dcmtk process"

    def __init__(self, peer: Peer, *, nodelay: bool) -> None:
        self._peer = peer
        self._environment = os.environ | ({"TCP_NODELAY": "1"} if nodelay else {})

    def echo(self) -> None:
        self._run("echoscu", [])

    def find(self, series: Series) -> int:
        keys = [
            "QueryRetrieveLevel=IMAGE",
            f"StudyInstanceUID={series.study_uid}",
            f"SeriesInstanceUID={series.series_uid}",
            "SOPInstanceUID",
            *_KEYS,
        ]
        arguments = ["-S", *(part for key in keys for part in ("-k", key))]
        # -X writes every answer to a file, which is what a program that wants them needs
        with tempfile.TemporaryDirectory() as folder:
            self._run("findscu", [*arguments, "-X", "-od", folder])
            return len(list(Path(folder).iterdir()))

    def get(self, series: Series) -> int:
        keys = [
            "QueryRetrieveLevel=SERIES",
            f"StudyInstanceUID={series.study_uid}",
            f"SeriesInstanceUID={series.series_uid}",
        ]
        arguments = ["-S", *(part for key in keys for part in ("-k", key))]
        with tempfile.TemporaryDirectory() as folder:
            self._run("getscu", [*arguments, "-od", folder])
            return sum(file.stat().st_size for file in Path(folder).iterdir())

    def _run(self, program: str, arguments: list[str]) -> None:
        peer = self._peer
        subprocess.run(
            [program, "-aec", peer.aet, *arguments, peer.host, str(peer.port)],
            check=True,
            timeout=_SECONDS,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment,
        )


class Pynetdicom:
    """pynetdicom as installed, an association a request."""

    name = "pynetdicom"

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def echo(self) -> None:
        ae = AE("BENCH")
        ae.add_requested_context(Verification)
        association = ae.associate(self._peer.host, self._peer.port, ae_title=self._peer.aet)
        status = association.send_c_echo()
        association.release()
        assert status.Status == 0

    def find(self, series: Series) -> int:
        ae = AE("BENCH")
        ae.add_requested_context(_FIND)
        association = ae.associate(self._peer.host, self._peer.port, ae_title=self._peer.aet)
        rows = 0
        for status, identifier in association.send_c_find(_query("IMAGE", series), _FIND):
            rows += identifier is not None
            assert status.Status in (0x0000, 0xFF00)
        association.release()
        return rows

    def get(self, series: Series) -> int:
        received = 0

        def take(event: evt.Event) -> int:
            nonlocal received
            received += len(event.encoded_dataset())
            return 0

        ae = AE("BENCH")
        ae.add_requested_context(_GET)
        ae.add_requested_context(CTImageStorage)
        association = ae.associate(
            self._peer.host,
            self._peer.port,
            ae_title=self._peer.aet,
            ext_neg=[build_role(CTImageStorage, scp_role=True)],
            evt_handlers=[(evt.EVT_C_STORE, take)],
        )
        for _ in association.send_c_get(_query("SERIES", series), _GET):
            pass
        association.release()
        return received


def _query(level: str, series: Series) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = level
    query.StudyInstanceUID = series.study_uid
    query.SeriesInstanceUID = series.series_uid
    if level == "IMAGE":
        query.SOPInstanceUID = ""
        for tag in _KEYS:
            query.add_new(int(tag, 16), "IS" if tag == "00200013" else "US", None)
        query["00080016"].VR = "UI"
    return query
