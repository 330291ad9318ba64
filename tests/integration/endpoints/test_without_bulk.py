"""Metadata without pixel data on the wire, from a PACS that can do so. PS3.4 Z."""

from __future__ import annotations

from dataclasses import replace

import httpx2
import pytest
import trio
from pydicom.dataset import Dataset

from harmony.dimse import contexts
from harmony.dimse.contexts import GET_WITHOUT_BULK
from tests.integration.endpoints.test_dicomweb_truth import COLUMNS, OF_IMAGE, ROWS, image
from tests.support.bad_pacs import (
    Accept,
    BadPacs,
    Final,
    Request,
    Rows,
    Script,
    SendInstances,
    Steps,
    bad_pacs,
)
from tests.support.gateway import Gateway, gateway

SECONDS = 20
STUDY, SERIES = "/studies/1.2.3", "/studies/1.2.3/series/1.2.3.4"
WHOLE = [image(number) for number in range(3)]
PIXELS = ROWS * COLUMNS + 12  # and their head
BARE = [replace(each, data=each.data[:-PIXELS]) for each in WHOLE]
ON = {"without_bulk": True}


def rows(request: Request) -> Steps:
    """The series of the study, or the instances of the series."""
    found = []
    count = 3 if b"IMAGE" in (request.data or b"") else 1
    for number in range(count):
        row = Dataset()
        row.QueryRetrieveLevel = "IMAGE" if count == 3 else "SERIES"
        row.StudyInstanceUID, row.SeriesInstanceUID = "1.2.3", "1.2.3.4"
        if count == 3:
            row.SOPInstanceUID = f"1.2.3.4.{number}"
        found.append(row)
    return (Rows(found), Final())


def what_is_asked(request: Request) -> Steps:
    """Instances with their pixels, or without by the service that leaves them out."""
    given = BARE if request.sop_class == GET_WITHOUT_BULK else WHOLE
    wanted = [each for each in given if each.sop_instance.encode() in (request.data or b"")]
    return (SendInstances(wanted or given), Final())


def gets(peer: BadPacs) -> list[str]:
    return [each.sop_class for each in peer.requests if each.kind == "C-GET-RQ"]


async def metadata(running: Gateway, path: str) -> list[dict[str, dict[str, object]]]:
    answer = await running.client.get(f"{running.dicomweb}{path}/metadata")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, dict[str, object]]] = answer.json()
    return found


@pytest.mark.parametrize(("path", "count"), [(STUDY, 3), (SERIES, 3), (OF_IMAGE, 1)])
async def test_metadata_are_the_same_with_less_on_the_wire(path: str, count: int) -> None:
    script = Script(find=rows, get=what_is_asked)
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        async with gateway(port=peer.port, dicomweb={}) as running:
            whole = await metadata(running, path)
        assert GET_WITHOUT_BULK not in gets(peer)
        async with gateway(port=peer.port, options=ON, dicomweb={}) as running:
            spared = await metadata(running, path)
        assert gets(peer)[-1] == GET_WITHOUT_BULK
    assert len(spared) == count
    for row in (*spared, *whole):
        assert row["7FE00010"].pop("vr") in ("OB", "OW")  # which nobody can know without them
    assert spared == whole


async def test_frames_are_retrieved_all_the_same() -> None:
    script = Script(find=rows, get=what_is_asked)
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=ON, dicomweb={}) as running:
            await metadata(running, OF_IMAGE)
            answer = await running.client.get(f"{running.dicomweb}{OF_IMAGE}/frames/1")
        assert answer.status_code == 200
        assert bytes(range(ROWS * COLUMNS)) in answer.content
        assert [each == GET_WITHOUT_BULK for each in gets(peer)] == [True, False]


async def test_a_pacs_that_cannot_is_asked_as_ever_and_not_again_for_it() -> None:
    script = Script(find=rows, get=what_is_asked, associate=(Accept(),))
    cannot = replace(script, associate=(Accept(only=frozenset(_all_but_sparing())),))
    with trio.fail_after(SECONDS), bad_pacs(cannot) as peer:
        async with gateway(port=peer.port, options=ON, dicomweb={"cache_bytes": 0}) as running:
            for _ in range(2):
                assert len(await metadata(running, SERIES)) == 3
        assert GET_WITHOUT_BULK not in gets(peer)
        refused = [each for each in peer.connections if GET_WITHOUT_BULK in each.abstract_syntaxes]
        assert len(refused) == 1


def _all_but_sparing() -> set[str]:
    proposals = (*contexts.for_get(), *contexts.for_queries())
    return {each.abstract_syntax for each in proposals}


async def test_an_instance_that_does_not_come_is_missed() -> None:
    script = Script(find=rows, get=(SendInstances(BARE[:2]), Final()))
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=ON, dicomweb={}) as running:
            try:
                answer = await running.client.get(f"{running.dicomweb}{SERIES}/metadata")
                told = answer.status_code == 206
            except httpx2.RemoteProtocolError:
                told = True
    # It is known before the head, or the body has no end.
    assert told


async def test_nothing_there_is_404() -> None:
    script = Script(find=(Final(),), get=(Final(),))
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=ON, dicomweb={}) as running:
            answer = await running.client.get(f"{running.dicomweb}{SERIES}/metadata")
    assert answer.status_code == 404
