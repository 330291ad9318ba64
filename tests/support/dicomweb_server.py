"""A DICOMweb server that does what a script says, and a pipeline with the backend before it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import trio

from harmony.backends.dicomweb import DicomwebBackend, Options
from harmony.dicom.part10 import file_head
from harmony.dicom.store_response import Fate, response
from harmony.envelope import (
    Instance,
    Key,
    Level,
    Operation,
    Origin,
    Outcome,
    Query,
    RequestEnvelope,
    Root,
    WholeBytes,
)
from harmony.pipeline import Pipeline, Route
from tests.support.origin import Asked, Script, origin, whole
from tests.support.origin import Origin as Server

SECONDS = 30
MARK = "Doe^Jane"
JSON = ("Content-Type", "application/dicom+json")
HTML = ("Content-Type", "text/html")
CT, UID, STUDY = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", "1.2.3"
EXPLICIT = "1.2.840.10008.1.2.1"
IMPATIENT = {"connect_seconds": 2, "send_seconds": 2, "answer_seconds": 0.7, "read_seconds": 0.7}
ROW = {"0020000D": {"vr": "UI", "Value": [STUDY]}, "00100010": {"vr": "PN", "Value": [MARK]}}
DATA = b"\x10\x00\x20\x00LO\x02\x00P1"


def rows(*documents: object) -> bytes:
    return json.dumps(documents).encode()


def file(uid: str = UID, data: bytes = DATA) -> bytes:
    return file_head(sop_class_uid=CT, sop_instance_uid=uid, transfer_syntax=EXPLICIT) + data


def related(*parts: bytes, closed: bool = True) -> bytes:
    body = b"".join(
        b"--frontier\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts
    )
    return body + (b"--frontier--\r\n" if closed else b"")


LOGIN = f"<html><title>Sign in, {MARK}</title>".encode()
RELATED = ("Content-Type", 'multipart/related; type="application/dicom"; boundary=frontier')
STORED = response([Fate(sop_class_uid=CT, sop_instance_uid=UID, status=0)])
GOOD = {
    Operation.ECHO: whole(rows(ROW), 200, JSON),
    Operation.FIND: whole(rows(ROW, ROW), 200, JSON),
    Operation.GET: whole(related(file(), file()), 200, RELATED),
    Operation.STORE: whole(STORED, 200, JSON),
}


@dataclass(slots=True)
class Got:
    """What came of a request."""

    items: list[object]
    outcome: Outcome


@contextlib.asynccontextmanager
async def before(script: Script, **options: object) -> AsyncIterator[tuple[Pipeline, Server]]:
    with trio.fail_after(SECONDS):
        async with origin(script) as server:
            given = {"url": f"http://127.0.0.1:{server.port}/root", "timeouts": IMPATIENT}
            made = DicomwebBackend("web", msgspec.convert({**given, **options}, Options), Path())
            async with made.lifespan():
                yield Pipeline("p", [Route(made)]), server


def find(
    level: Level = Level.STUDY,
    *,
    keys: tuple[Key, ...] = (Key(0x00100010, (MARK,)), Key(0x0020000D)),
    limit: int | None = None,
    offset: int = 0,
) -> Query:
    return Query(level=level, root=Root.STUDY, keys=keys, limit=limit, offset=offset)


def get(level: Level = Level.STUDY, *uids: str) -> Query:
    keys = {
        Level.STUDY: ((0x0020000D, uids or (STUDY,)),),
        Level.SERIES: ((0x0020000D, (STUDY,)), (0x0020000E, uids or ("1.2",))),
        Level.IMAGE: (
            (0x0020000D, (STUDY,)),
            (0x0020000E, ("1.2",)),
            (0x00080018, uids or (UID,)),
        ),
        Level.PATIENT: ((0x00100020, uids or ("P1",)),),
    }[level]
    return Query(level=level, root=Root.STUDY, keys=tuple(Key(*each) for each in keys))


async def instances(*uids: str, repeatable: bool = True) -> AsyncIterator[Instance]:
    for uid in uids:
        yield Instance(
            sop_class_uid=CT,
            sop_instance_uid=uid,
            transfer_syntax=EXPLICIT,
            data=WholeBytes(DATA),
            repeatable=repeatable,
        )


async def ask(
    pipeline: Pipeline, operation: Operation, query: Query | None = None, *uids: str
) -> Got:
    request = RequestEnvelope(
        id="r",
        operation=operation,
        origin=Origin(pipeline="p", endpoint="e", caller="TESTER"),
        query=query or {Operation.FIND: find(), Operation.GET: get()}.get(operation),
        body=instances(*(uids or (UID,))) if operation is Operation.STORE else b"",
    )
    items: list[object] = []
    async with pipeline.exchange(request) as answered:
        async for item in answered.items:
            if isinstance(item, Instance):
                items.append(b"".join([chunk async for chunk in item.data]))
            else:
                items.append(item)
        return Got(items, answered.items.outcome)


def by_method(good: bytes, others: bytes) -> Callable[[Asked, int], bytes]:
    """Retrieves and stores get `others`, searches `good`."""
    return lambda asked, _: others if "?" not in asked.target else good
