"""HTTP in, C-FIND out: Harmony's JSON API, Orthanc's REST API, and a findscu for each request.

All three ask the same SCPs for the same studies of a patient, and the answer is JSON.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pydicom

from tests.support.pacs.base import Pacs
from tools.bench.commands import run_all
from tools.bench.deployments import harmony_http
from tools.bench.own_caller import studies_of
from tools.bench.raw_http import ask_many, request
from tools.bench.sending import storescu
from tools.bench.series import archive
from tools.bench.servers import HOST, Server, asking_orthanc, dcmqrscp, fast_scp
from tools.bench.setting import Setting, modes
from tools.bench.timing import Case, Entry, Unit, print_head, timed

NAMES = ("harmony http", "orthanc rest", "findscu a request")
_NOTE = (
    "\nHTTP to C-FIND: patients with so many studies, 14 keys. Orthanc's is a query and the GET\n"
    "of its answers; findscu's answers are read to JSON with pydicom, without any HTTP."
)
_SECONDS = 60
_CONNECTIONS = 8
_KEYWORDS = {key.tag: pydicom.datadict.keyword_for_tag(key.tag) for key in studies_of("").keys}
_PATIENT_ID = "PatientID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the table.

    Attributes:
        goals: at SCPs as they are installed, against Orthanc and against findscu.
    """

    scp: str
    studies: int
    goals: tuple[float | None, float | None]

    @property
    def title(self) -> str:
        return f"{self.studies} {'match' if self.studies == 1 else 'matches'}, {self.scp}"


_LINES: Final = (
    Line(scp="orthanc", studies=1, goals=(8, 10)),
    Line(scp="dcmqrscp", studies=1, goals=(8, 10)),
    Line(scp="fast", studies=1, goals=(1.5, 8)),
    Line(scp="orthanc", studies=100, goals=(3.5, 5)),
    Line(scp="fast", studies=100, goals=(None, None)),
    Line(scp="fast", studies=1000, goals=(2, 8)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Who asks, and who is asked."""

    harmony: http.client.HTTPConnection
    pacs: Pacs
    scps: Mapping[str, Server]
    nodelay: bool

    def ask_harmony(self, line: Line) -> int:
        answer = self._json(self.harmony, f"/{line.scp}/find", harmony_query(line.studies))
        assert isinstance(answer, list)
        return len(answer)

    def ask_orthanc(self, line: Line) -> int:
        # It closes a connection after a large answer, so each request has a new one.
        connection = http.client.HTTPConnection(HOST, self.pacs.http_port, timeout=_SECONDS)
        with contextlib.closing(connection):
            path = f"/modalities/{self.scps[line.scp].ae_title.lower()}/query"
            query = self._json(connection, path, orthanc_query(line.studies))
            assert isinstance(query, dict)
            connection.request("GET", f"/queries/{query['ID']}/answers?expand")
            return len(json.loads(connection.getresponse().read()))

    def ask_findscu(self, line: Line) -> int:
        with tempfile.TemporaryDirectory() as folder:
            run_all([self.findscu(line, folder)], nodelay=self.nodelay)
            files = Path(folder).iterdir()
            return len([pydicom.dcmread(file).to_json_dict() for file in files])

    def findscu(self, line: Line, folder: str) -> list[str]:
        scp = self.scps[line.scp]
        keys = ["QueryRetrieveLevel=STUDY", f"{_PATIENT_ID}=M{line.studies}"]
        keys += [keyword for keyword in _KEYWORDS.values() if keyword != _PATIENT_ID]
        words = [word for key in keys for word in ("-k", key)]
        to = ["-aec", scp.ae_title, scp.host, str(scp.port)]
        return ["findscu", "-S", *words, "-X", "-od", folder, *to]

    def many_findscu(self, line: Line) -> int:
        """One after the other by each of some, and none of the answers is read."""
        with tempfile.TemporaryDirectory() as folder:
            run_all([self.findscu(line, folder)] * _CONNECTIONS, nodelay=self.nodelay)
        return _CONNECTIONS

    @staticmethod
    def _json(connection: http.client.HTTPConnection, path: str, body: object) -> object:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body).encode(), headers)
        answer = connection.getresponse()
        read = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {read[:300]!r}")
        decoded: object = json.loads(read)
        return decoded


def harmony_query(studies: int) -> dict[str, object]:
    """The body of a request to Harmony."""
    wanted = [keyword for keyword in _KEYWORDS.values() if keyword != _PATIENT_ID]
    return {"query_level": "STUDY", "patient_id": f"M{studies}", "return": wanted}


def orthanc_query(studies: int) -> dict[str, object]:
    """The body of a request to Orthanc."""
    return {
        "Level": "Study",
        "Query": dict.fromkeys(_KEYWORDS.values(), "") | {_PATIENT_ID: f"M{studies}"},
    }


def print_tables(setting: Setting) -> None:
    """With Orthanc and DCMTK sending at once, and as they are installed."""
    print(_NOTE)
    for nodelay, how in modes():
        root = setting.disk / f"http-{nodelay}"
        with _field(setting, root, nodelay=nodelay) as field:
            print_head(f"HTTP to C-FIND, SCPs {how}; up to {setting.rounds} rounds", NAMES)
            for line in _LINES:
                setting.print_case(_case(field, line), setting.rounds)
        with _field(setting, root / "many", nodelay=nodelay, associations=_CONNECTIONS) as field:
            setting.print_case(_many(field, each=10 if setting.quick else 40), setting.rounds)


@contextlib.contextmanager
def _field(
    setting: Setting, root: Path, *, nodelay: bool, associations: int = 2
) -> Iterator[Field]:
    with contextlib.ExitStack() as running:
        scps = {
            "dcmqrscp": running.enter_context(dcmqrscp(root / "dcmqrscp", nodelay=nodelay)),
            "fast": running.enter_context(fast_scp(root / "fast")),
        }
        pacs, scps["orthanc"] = running.enter_context(
            asking_orthanc(root / "orthanc", tuple(scps.values()), nodelay=nodelay)
        )
        for studies in (1, 100):
            patient = setting.shelf.patient(studies)
            pacs.rest("POST", "/instances", archive(patient.folder), seconds=120)
        storescu(scps["dcmqrscp"], [setting.shelf.patient(1).folder], nodelay=True)
        port = running.enter_context(
            harmony_http(root / "harmony", scps, setting.engine, associations=associations)
        )
        connection = http.client.HTTPConnection(HOST, port, timeout=_SECONDS)
        running.enter_context(contextlib.closing(connection))
        yield Field(harmony=connection, pacs=pacs, scps=scps, nodelay=nodelay)


def _case(field: Field, line: Line) -> Case:
    asks = (field.ask_harmony, field.ask_orthanc, field.ask_findscu)
    goals = (None, None, None) if field.nodelay else (None, *line.goals)
    return Case(
        title=line.title,
        row=f"HTTP to C-FIND, {line.title}",
        entries=[
            Entry(
                name=name,
                run=functools.partial(timed, functools.partial(ask, line)),
                due=line.studies,
                goal=goal,
            )
            for name, ask, goal in zip(NAMES, asks, goals, strict=True)
        ],
    )


def _many(field: Field, *, each: int) -> Case:
    """Requests of eight connections at once, at the fast SCP; Orthanc's answers are not fetched."""
    line = Line(scp="fast", studies=1, goals=(1, 10))
    path = f"/modalities/{field.scps['fast'].ae_title.lower()}/query"
    to_harmony = request("/fast/find", json.dumps(harmony_query(1)).encode())
    to_orthanc = request(path, json.dumps(orthanc_query(1)).encode())
    many = functools.partial(ask_many, HOST, connections=_CONNECTIONS, each=each)
    due = _CONNECTIONS * each
    asks = (
        (functools.partial(many, field.harmony.port, to_harmony), due),
        (functools.partial(many, field.pacs.http_port, to_orthanc), due),
        (functools.partial(field.many_findscu, line), _CONNECTIONS),
    )
    goals = (None, None, None) if field.nodelay else (None, *line.goals)
    return Case(
        title=f"{_CONNECTIONS} connections, 1 match, fast",
        row=f"HTTP to C-FIND, {_CONNECTIONS} connections, 1 match, fast",
        unit=Unit.REQUESTS,
        entries=[
            Entry(name=name, run=functools.partial(timed, ask), due=due, goal=goal)
            for name, (ask, due), goal in zip(NAMES, asks, goals, strict=True)
        ],
    )
