"""DICOMweb: Harmony in front of Orthanc by DIMSE, and Orthanc's own plugin, out of its disk.

Both answer for the same studies. What they answer is counted, not decoded.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.files import multipart
from tests.support.pacs.base import Pacs
from tools.bench.deployments import harmony_dicomweb
from tools.bench.objects import Supply, make_template
from tools.bench.raw_http import get, get_all
from tools.bench.series import Series, archive
from tools.bench.servers import HOST, asking_orthanc
from tools.bench.setting import Setting, modes
from tools.bench.timing import Case, Entry, Sample, Unit, print_head, timed

NAMES = ("harmony", "orthanc's plugin")
_NOTE = (
    "\nDICOMweb: Harmony asks the same Orthanc by DIMSE, and keeps nothing but the frames\n"
    "that are asked for again. Orthanc's plugin has the data at hand. STOW is synced by neither."
)
_SECONDS = 120
_AT_ONCE = 16
_ROWS: Final = 512
_WITHIN = 1 / 1.5  # of what the plugin takes
_DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_FRAME = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
_FIELDS = (
    "00080020,00080030,00080050,00080061,00080090,00081030,00100010,00100030,00100040,00200010"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Somebody who speaks DICOMweb."""

    port: int
    root: str

    def rows(self, studies: int) -> int:
        """A search for a patient's studies; how many there are."""
        path = f"{self.root}/studies?PatientID=M{studies}&includefield={_FIELDS}"
        body = get(HOST, self.port, path, "application/dicom+json")
        return body.count(b'"0020000D"')

    def instances(self, series: Series) -> int:
        """A retrieve of a series; how many files come."""
        path = f"{self.root}/studies/{series.study_uid}/series/{series.series_uid}"
        return get(HOST, self.port, path, _DICOM).count(b"\0DICM\x02\0\0\0")

    def frames(self, paths: Sequence[str]) -> int:
        """A retrieve of one frame from each of these, some at once; how many come."""
        asked = [(f"{self.root}{path}", _FRAME) for path in paths]
        bodies = get_all(HOST, self.port, asked, connections=_AT_ONCE)
        return sum(len(body) > _ROWS * _ROWS * 2 for body in bodies)

    def store(self, supply: Supply, count: int) -> Sample:
        """A store of so many new files; how many are stored."""
        files = [each.file.read_bytes() for each in supply.objects(count)]
        kind, body = multipart(files)
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_SECONDS)
        headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
        with contextlib.closing(connection):
            begun = time.perf_counter()
            connection.request("POST", f"{self.root}/studies", body, headers)
            answer = connection.getresponse()
            read = answer.read()
            seconds = time.perf_counter() - begun
        # Once for each stored instance: its Retrieve URL ends so.
        return Sample(seconds, read.count(b"/instances/") if answer.status == 200 else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Who is asked.

    Attributes:
        harmony: it keeps nothing.
        keeping: it keeps what it has retrieved, as it does unless told otherwise.
        frames: the path of the first frame of each instance of the series.
    """

    harmony: Asked
    keeping: Asked
    plugin: Asked
    frames: Sequence[str]


def print_tables(setting: Setting) -> None:
    """With Orthanc sending at once, and as it is installed."""
    print(_NOTE)
    for nodelay, how in modes():
        root = setting.disk / f"dicomweb-{nodelay}"
        rounds = setting.rounds if nodelay else min(setting.rounds, 5)
        with _field(setting, root, nodelay=nodelay) as field:
            print_head(f"DICOMweb, Orthanc {how}; up to {rounds} rounds", NAMES)
            for case in _cases(setting, field, nodelay=nodelay):
                setting.print_case(case, rounds)


@contextlib.contextmanager
def _field(setting: Setting, root: Path, *, nodelay: bool) -> Iterator[Field]:
    with contextlib.ExitStack() as running:
        pacs, scp = running.enter_context(asking_orthanc(root / "orthanc", (), nodelay=nodelay))
        for studies in (1, 100, 1000):
            patient = setting.shelf.patient(studies)
            pacs.rest("POST", "/instances", archive(patient.folder), seconds=300)
        series = _series(setting)
        pacs.rest("POST", "/instances", archive(series.folder), seconds=300)
        port = running.enter_context(harmony_dicomweb(root / "harmony", scp, setting.engine))
        yield (
            Field(
                harmony=Asked(port=port, root="/dicom-web"),
                keeping=Asked(port=port, root="/keeping"),
                plugin=Asked(port=pacs.http_port, root="/dicom-web"),
                frames=_frames_of(pacs, series),
            )
        )


def _series(setting: Setting) -> Series:
    return setting.shelf.series(40 if setting.quick else 200, _ROWS)


def _frames_of(pacs: Pacs, series: Series) -> list[str]:
    """The path of the first frame of each instance."""
    body = {"Level": "Instance", "Expand": True, "Query": {"SeriesInstanceUID": series.series_uid}}
    found = pacs.rest("POST", "/tools/find", json.dumps(body).encode())
    assert isinstance(found, list)
    above = f"/studies/{series.study_uid}/series/{series.series_uid}/instances"
    uids = [each["MainDicomTags"]["SOPInstanceUID"] for each in found]
    return [f"{above}/{uid}/frames/1" for uid in uids]


def _cases(setting: Setting, field: Field, *, nodelay: bool) -> Iterator[Case]:
    asked, paths = (field.harmony, field.plugin), field.frames
    for studies in (1, 100, 1000):
        yield _case(
            f"QIDO, {studies} {'study' if studies == 1 else 'studies'}",
            [functools.partial(timed, functools.partial(each.rows, studies)) for each in asked],
            studies,
            goal=None if not nodelay else 1 if studies == 1000 else _WITHIN,
        )
    series = _series(setting)
    yield _case(
        f"WADO, series of {series.instances} x 0.5 MB",
        [functools.partial(timed, functools.partial(each.instances, series)) for each in asked],
        series.instances,
        goal=_WITHIN if nodelay else None,
        weight=_ROWS * _ROWS * 2,
    )
    yield _case(
        f"{len(paths)} frames, {_AT_ONCE} at a time",
        [functools.partial(timed, functools.partial(each.frames, paths)) for each in asked],
        len(paths),
        goal=1 if nodelay else None,
        weight=_ROWS * _ROWS * 2,
    )
    yield _case(
        f"{len(paths)} frames again, {_AT_ONCE} at a time",
        [
            functools.partial(timed, functools.partial(each.frames, paths))
            for each in (field.keeping, field.plugin)
        ],
        len(paths),
        goal=1 if nodelay else None,
        weight=_ROWS * _ROWS * 2,
    )
    supply = Supply(folder=setting.memory / "stow", template=make_template(_ROWS))
    count = 40 if setting.quick else 200
    yield _case(
        f"STOW, {count} x 0.5 MB",
        [functools.partial(each.store, supply, count) for each in asked],
        count,
        goal=_WITHIN if nodelay else None,
        weight=supply.object_bytes,
    )


def _case(
    title: str,
    runs: Sequence[Callable[[], Sample]],
    due: int,
    *,
    goal: float | None,
    weight: int = 0,
) -> Case:
    return Case(
        title=title,
        row=f"DICOMweb, {title}",
        unit=Unit.MEGABYTES if weight else Unit.MILLISECONDS,
        weight=weight or 1,
        entries=[
            Entry(name=name, run=run, due=due, goal=each)
            for name, run, each in zip(NAMES, runs, (None, goal), strict=True)
        ],
    )
