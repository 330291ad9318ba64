"""DICOMweb before a PACS that fails: no failure looks like nothing found, stored, or complete."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import httpx2
import pytest
import trio

from harmony.dicom.multipart import MultipartReader, boundary_of
from harmony.errors import RequestError
from tests.support import dimse
from tests.support.bad_caller import data_sets
from tests.support.bad_pacs import (
    Abort,
    Accept,
    Close,
    Counters,
    Final,
    Forged,
    Freeze,
    Instance,
    Part,
    Reject,
    Request,
    Reset,
    Rows,
    Script,
    SendInstances,
    Silence,
    Stare,
    Steps,
    bad_pacs,
    broken_command_set,
    garbage,
)
from tests.support.gateway import Gateway, gateway
from tests.support.part10 import part10

SECONDS = 30
LEVELS = ("STUDY", "SERIES", "IMAGE")
STUDY, SERIES, IMAGE = "/studies/1.2.3", "/series/1.2.3.4", "/instances/1.2.3.4.0"
OF_IMAGE = STUDY + SERIES + IMAGE
OPTIONS = {"timeouts": asdict(dimse.IMPATIENT), "keep_seconds": 0.2}
NOTHING_KEPT = {"cache_bytes": 0}
ROWS, COLUMNS = 8, 16


def image(number: int) -> Instance:
    """A picture of eight bits a pixel, encoded by hand."""
    numbers = (
        (0x00280002, 1),
        (0x00280010, ROWS),
        (0x00280011, COLUMNS),
        (0x00280100, 8),
        (0x00280101, 8),
    )
    uids = data_sets.element(data_sets.STUDY_UID, "UI", b"1.2.3") + data_sets.element(
        data_sets.SERIES_UID, "UI", b"1.2.3.4"
    )
    described = b"".join(
        data_sets.element(tag, "US", value.to_bytes(2, "little")) for tag, value in numbers
    )
    pixels = data_sets.element(0x7FE00010, "OB", bytes(range(ROWS * COLUMNS)))
    made = dimse.instance(uid=f"1.2.3.4.{number}")
    return replace(made, data=uids + described + pixels)


INSTANCES = [image(number) for number in range(3)]


def what_is_asked(request: Request) -> Steps:
    """All instances, or the one that a retrieve at the lowest level names."""
    assert request.data is not None
    return (SendInstances(INSTANCES[: 1 if b"IMAGE" in request.data else 3]), Final())


GOOD = Script(find=(Rows(dimse.rows(3)), Final()), get=what_is_asked)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, and what of a PACS it needs."""

    path: str
    needs: str
    accept: str | None = None


QUERIES = {
    "studies": Ask("/studies", "find"),
    "series": Ask(f"{STUDY}/series", "find"),
    "instances": Ask(f"{STUDY}{SERIES}/instances", "find"),
    "studies as XML": Ask("/studies", "find", 'multipart/related; type="application/dicom+xml"'),
}
RETRIEVES = {
    "study": Ask(STUDY, "get"),
    "series": Ask(STUDY + SERIES, "get"),
    "instance": Ask(OF_IMAGE, "get"),
    "instance alone": Ask(OF_IMAGE, "get", "application/dicom"),
    "metadata of a study": Ask(f"{STUDY}/metadata", "get"),
    "metadata of an instance": Ask(f"{OF_IMAGE}/metadata", "get"),
    "frames": Ask(f"{OF_IMAGE}/frames/1", "get"),
    "bulk data": Ask(f"{OF_IMAGE}/bulk/7FE00010", "get"),
    "rendered": Ask(f"{OF_IMAGE}/rendered", "get"),
    "thumbnail": Ask(f"{OF_IMAGE}/frames/1/thumbnail", "get", "image/png"),
    "WADO-URI": Ask(
        "/wado?requestType=WADO&studyUID=1.2.3&seriesUID=1.2.3.4&objectUID=1.2.3.4.0", "get"
    ),
}
ALL = QUERIES | RETRIEVES


@dataclass(frozen=True, slots=True)
class Seen:
    """What an HTTP client has in the end."""

    status: int
    whole: bool
    body: bytes
    kind: str


async def ask(running: Gateway, wanted: Ask) -> Seen:
    """One request, read as a careful client reads it."""
    headers = {"accept": wanted.accept} if wanted.accept else {}
    received = bytearray()
    status, kind, whole = 0, "", True
    try:
        async with running.client.stream(
            "GET", running.dicomweb + wanted.path, headers=headers
        ) as answer:
            status, kind = answer.status_code, answer.headers.get("content-type", "")
            async for piece in answer.aiter_bytes():
                received += piece
    except httpx2.RemoteProtocolError:
        whole = False
    return Seen(status, whole and well_formed(kind, bytes(received)), bytes(received), kind)


def well_formed(kind: str, body: bytes) -> bool:
    try:
        if "json" in kind:
            json.loads(body)
        elif kind.startswith("multipart/"):
            reader = MultipartReader(boundary_of(kind), max_parts=100)
            reader.feed(body)
            reader.close()
    except (ValueError, RequestError):
        return False
    return True


FAULTS: dict[str, tuple[int, Callable[[str], Script]]] = {
    "RJ 1/1/3": (502, lambda _: replace(GOOD, associate=(Reject(1, 1, 3),))),
    "RJ 2/3/2": (503, lambda _: replace(GOOD, associate=(Reject(2, 3, 2),))),
    "refuses contexts": (501, lambda _: replace(GOOD, associate=(Accept(only=frozenset()),))),
    "silent at the request": (504, lambda _: replace(GOOD, associate=(Silence(),))),
    "silent": (504, lambda of: answering(of, Silence())),
    "frozen": (504, lambda of: answering(of, Stare())),
    "freezes in a body": (504, lambda of: answering(of, Freeze(Part.COMMAND, "body"), Final())),
    "aborts": (502, lambda of: answering(of, Abort(0, 0))),
    "resets": (502, lambda of: answering(of, Reset())),
    "closes": (502, lambda of: answering(of, Close())),
    "garbage": (502, lambda of: answering(of, garbage())),
    "broken command set": (502, lambda of: answering(of, broken_command_set())),
    "other answer": (502, lambda of: answering(of, Final(forged=Forged(field=0x8FFF)))),
    "out of resources": (503, lambda of: answering(of, Final(0xA700))),
    "unable to process": (502, lambda of: answering(of, Final(0xC000))),
    "not authorised": (502, lambda of: answering(of, Final(0x0124))),
}


def answering(operation: str, *steps: object) -> Script:
    return replace(GOOD, **{operation: steps})  # type: ignore[arg-type]


@pytest.mark.parametrize("wanted", ALL.values(), ids=ALL)
@pytest.mark.parametrize(("status", "script"), FAULTS.values(), ids=FAULTS)
async def test_a_failure_before_the_first_answer_has_a_truthful_status(wanted, status, script):
    with trio.fail_after(SECONDS), bad_pacs(script(wanted.needs)) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            seen = await ask(running, wanted)
            assert (seen.status, seen.kind) == (status, "application/problem+json"), seen.body
            assert json.loads(seen.body)["backend"] == "pacs"
            peer.script = GOOD
            again = await ask(running, wanted)
            assert again.status == 200, again.body
            assert again.whole


BREAKS: dict[str, Steps] = {
    "aborts": (Abort(0, 0),),
    "resets": (Reset(),),
    "closes": (Close(),),
    "falls silent": (Silence(),),
    "fails": (Final(0xC000),),
    "runs out of resources": (Final(0xA702),),
    "garbage": (garbage(),),
}


@pytest.mark.parametrize("kept", [{}, NOTHING_KEPT], ids=["kept", "not kept"])
@pytest.mark.parametrize("wanted", ["study", "metadata of a study", "instance", "frames"])
@pytest.mark.parametrize("ending", BREAKS.values(), ids=BREAKS)
async def test_instances_that_break_off_never_end_cleanly(wanted, ending, kept):
    given = INSTANCES[: 1 if "instances" in RETRIEVES[wanted].path else 2]
    script = replace(GOOD, get=(SendInstances(given), *ending))
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=OPTIONS, dicomweb=kept) as running:
            seen = await ask(running, RETRIEVES[wanted])
            if wanted == "frames":  # of an instance that is whole
                assert (seen.status, seen.whole) == (200, True)
            elif seen.status == 200:
                assert not seen.whole
            else:
                assert seen.status in (502, 503, 504)
                assert seen.kind == "application/problem+json"


@pytest.mark.parametrize("wanted", QUERIES.values(), ids=QUERIES)
@pytest.mark.parametrize("ending", BREAKS.values(), ids=BREAKS)
async def test_matches_that_break_off_never_end_cleanly(wanted, ending):
    script = replace(GOOD, find=(Rows(dimse.rows(2)), *ending))
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            seen = await ask(running, wanted)
            assert not (seen.status < 300 and seen.whole), seen.body


@pytest.mark.parametrize("status", [200, 204])
async def test_no_match_is_told_as_it_was_agreed(status):
    script = replace(GOOD, find=(Final(),))
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        options = {"empty_search": status}
        async with gateway(port=peer.port, options=OPTIONS, dicomweb=options) as running:
            seen = await ask(running, QUERIES["studies"])
            assert (seen.status, seen.body) == (status, b"[]" if status == 200 else b"")
            seen = await ask(running, QUERIES["studies as XML"])
            assert (seen.status, seen.body) == (204, b"")


@pytest.mark.parametrize("wanted", RETRIEVES.values(), ids=RETRIEVES)
async def test_a_retrieve_of_nothing_is_404(wanted):
    with trio.fail_after(SECONDS), bad_pacs(replace(GOOD, get=(Final(),))) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            assert (await ask(running, wanted)).status == 404


@pytest.mark.parametrize("wanted", RETRIEVES.values(), ids=RETRIEVES)
@pytest.mark.parametrize(
    ("find", "status"),
    [
        ((Final(),), 404),
        ((Rows(dimse.rows(1)), Final()), 502),
        ((Final(0xC000),), 502),
        ((Abort(0, 0),), 502),
    ],
    ids=["absent", "there", "unknown", "gone"],
)
async def test_a_retrieve_that_fails_is_404_only_if_a_query_says_so(wanted, find, status):
    script = replace(GOOD, get=(Final(0xC000),), find=find)
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            assert (await ask(running, wanted)).status == status


@pytest.mark.parametrize("wanted", ["instance", "metadata of an instance"])
async def test_a_part_that_failed_is_206_where_it_is_known_in_time(wanted):
    partial = Final(0xB000, counters=Counters(completed=1, failed=1, warning=0))
    script = replace(GOOD, get=(SendInstances(INSTANCES[:1]), partial))
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            seen = await ask(running, RETRIEVES[wanted])
            assert (seen.status, seen.whole) in [(206, True), (200, False)]


async def test_the_level_of_the_request_is_the_level_of_the_retrieve():
    levels = []
    with trio.fail_after(SECONDS), bad_pacs(GOOD) as peer:
        async with gateway(port=peer.port, options=OPTIONS, dicomweb=NOTHING_KEPT) as running:
            for name in ("study", "series", "instance", "frames", "metadata of a study"):
                assert (await ask(running, RETRIEVES[name])).status == 200
                data = peer.requests[-1].data or b""
                levels += [
                    level for level in ("STUDY", "SERIES", "IMAGE") if level.encode() in data
                ]
    assert levels == ["STUDY", "SERIES", "IMAGE", "IMAGE", "STUDY"]


# STOW


async def store(running: Gateway, *files: bytes, path: str = "/studies") -> httpx2.Response:
    parts = b"".join(
        b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n" for file in files
    )
    return await running.client.post(
        running.dicomweb + path,
        content=parts + b"--b--\r\n",
        headers={"content-type": 'multipart/related; type="application/dicom"; boundary=b'},
    )


def number_of(request: Request) -> int:
    return int(request.sop_instance.rpartition(".")[2])


def fates(answer: httpx2.Response) -> dict[str, int]:
    """UIDs, and their reasons of failure; 0 for those that are stored."""
    module = answer.json()
    found = {}
    for tag in ("00081198", "00081199"):
        for item in module.get(tag, {}).get("Value", []):
            (uid,) = item["00081155"]["Value"]
            found[uid] = item.get("00081197", {"Value": [0]})["Value"][0]
    return found


@pytest.mark.parametrize(
    ("statuses", "http"),
    [
        ((0x0000, 0x0000), 200),
        ((0x0000, 0xC000), 202),
        ((0xB000, 0x0000), 202),
        ((0xC000, 0xA900), 409),
        ((0xA700, 0xA700), 503),
    ],
)
async def test_each_instance_has_its_own_fate(statuses, http):
    script = replace(GOOD, store=lambda request: (Final(statuses[number_of(request)]),))
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            answer = await store(running, *(part10(each) for each in INSTANCES[:2]))
    assert answer.status_code == http, answer.text
    expected = [status if status & 0xF000 not in (0, 0xB000) else 0 for status in statuses]
    assert list(fates(answer).values()) == expected or sorted(fates(answer).values()) == sorted(
        expected
    )


async def test_a_part_that_is_no_file_fails_alone():
    with trio.fail_after(SECONDS), bad_pacs(GOOD) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            answer = await store(running, part10(INSTANCES[0]), b"no file", part10(INSTANCES[1]))
    assert answer.status_code == 202
    assert fates(answer) == {"1.2.3.4.0": 0, "1.2.3.4.1": 0}
    (other,) = answer.json()["0008119A"]["Value"]
    assert other["00081197"]["Value"] == [0xC000]


async def test_a_pacs_that_dies_half_way_has_stored_the_first_half_only():
    script = replace(GOOD, store=lambda request: (Abort(0, 0) if number_of(request) else Final(),))
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            answer = await store(running, *(part10(each) for each in INSTANCES))
    assert answer.status_code == 202, answer.text
    told = fates(answer)
    assert told.pop("1.2.3.4.0") == 0
    assert set(told) == {"1.2.3.4.1", "1.2.3.4.2"}
    assert 0 not in told.values()
