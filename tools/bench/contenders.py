"""Ways to ask a PACS: Harmony's HTTP, a DCMTK process a request, plain pynetdicom.

Each contender has the same three methods, and each returns how much came back: what got too
little must not look fast.
"""

from __future__ import annotations

import http.client
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)

from tools.bench.commands import run_all
from tools.bench.series import Series
from tools.bench.timing import Sample

_FIND = StudyRootQueryRetrieveInformationModelFind
_GET = StudyRootQueryRetrieveInformationModelGet
_KEYS = ("00080016", "00200013", "00280010", "00280011")
_SECONDS = 120


class Scp(Protocol):
    """Whom they ask."""

    @property
    def ae_title(self) -> str: ...

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


class Contender(Protocol):
    """Someone who asks a PACS."""

    @property
    def name(self) -> str:
        """The head of its column."""
        ...

    def echo(self) -> int:
        """1 if the PACS answered."""
        ...

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

    def echo(self) -> int:
        return int(json.loads(self._post("/echo", None))["success"])

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

    def __init__(self, pacs: Scp, *, nodelay: bool) -> None:
        self._pacs = pacs
        self._nodelay = nodelay

    def echo(self) -> int:
        self._run("echoscu", [])  # raises if it fails
        return 1

    def find(self, series: Series) -> int:
        keys = [
            "QueryRetrieveLevel=IMAGE",
            f"StudyInstanceUID={series.study_uid}",
            f"SeriesInstanceUID={series.series_uid}",
            "SOPInstanceUID",
            *(f"{key[:4]},{key[4:]}" for key in _KEYS),
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
        pacs = self._pacs
        command = (program, "-aec", pacs.ae_title, *arguments, pacs.host, str(pacs.port))
        run_all([command], nodelay=self._nodelay)


class Pynetdicom:
    """pynetdicom as installed, an association a request."""

    name = "pynetdicom"

    def __init__(self, pacs: Scp) -> None:
        self._pacs = pacs

    def echo(self) -> int:
        ae = AE("BENCH")
        ae.add_requested_context(Verification)
        association = ae.associate(self._pacs.host, self._pacs.port, ae_title=self._pacs.ae_title)
        status = association.send_c_echo()
        association.release()
        return int("Status" in status and status.Status == 0)

    def held_echoes(self, count: int) -> Sample:
        """So many on one association, but for the first."""
        ae = AE("BENCH")
        ae.add_requested_context(Verification)
        association = ae.associate(self._pacs.host, self._pacs.port, ae_title=self._pacs.ae_title)
        try:
            association.send_c_echo()
            started = time.perf_counter()
            got = sum("Status" in association.send_c_echo() for _ in range(count))
            return Sample(time.perf_counter() - started, got)
        finally:
            association.release()

    def find(self, series: Series) -> int:
        ae = AE("BENCH")
        ae.add_requested_context(_FIND)
        association = ae.associate(self._pacs.host, self._pacs.port, ae_title=self._pacs.ae_title)
        rows = 0
        for _, identifier in association.send_c_find(_query("IMAGE", series), _FIND):
            rows += identifier is not None
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
            self._pacs.host,
            self._pacs.port,
            ae_title=self._pacs.ae_title,
            ext_neg=[build_role(CTImageStorage, scp_role=True)],
            evt_handlers=[(evt.EVT_C_STORE, take)],
        )
        for _ in association.send_c_get(_query("SERIES", series), _GET):
            pass
        association.release()
        return received

    def store(self, files: Sequence[Path]) -> int:
        """How many CT images in files were taken."""
        ae = AE("BENCH")
        ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        association = ae.associate(self._pacs.host, self._pacs.port, ae_title=self._pacs.ae_title)
        taken = 0
        for file in files:
            status = association.send_c_store(file)
            taken += "Status" in status and status.Status == 0
        association.release()
        return taken


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
