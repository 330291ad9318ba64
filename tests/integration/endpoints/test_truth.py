"""Harmony never lies: every operation, every level, every way a PACS can fail.

For each: the HTTP client sees the right failure status, or a body that is visibly broken; never
a clean end that looks like "no results", "complete" or "stored". The next request works.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

import httpx2
import pytest
import trio

from harmony.dicom.multipart import MultipartReader, boundary_of
from harmony.errors import RequestError
from tests.support import dimse, engines
from tests.support.bad_pacs import (
    Abort,
    Accept,
    BadPacs,
    Close,
    Counters,
    Final,
    Forged,
    Freeze,
    Part,
    Progress,
    Reject,
    ReleaseRequest,
    Reset,
    Rows,
    Script,
    SendInstances,
    Silence,
    Slow,
    Stare,
    Steps,
    bad_pacs,
    broken_command_set,
    broken_identifier,
    counting,
    garbage,
    huge_pdu,
    unknown_pdu,
)
from tests.support.gateway import Gateway, gateway
from tests.support.part10 import part10

pytestmark = pytest.mark.usefixtures("engine")

UIDS = {
    "PATIENT": {"patient_id": "P1"},
    "STUDY": {"study_instance_uid": "1.2.3"},
    "SERIES": {"study_instance_uid": "1.2.3", "series_instance_uid": "1.2.3.4"},
    "IMAGE": {
        "study_instance_uid": "1.2.3",
        "series_instance_uid": "1.2.3.4",
        "sop_instance_uid": "1.2.3.4.5",
    },
}
LEVELS = tuple(UIDS)
ASKED = [("echo", "")]
ASKED += [(operation, level) for operation in ("find", "get", "move") for level in LEVELS]
ASKED += [("store", "")]
# No engine sees the level.
asked = engines.cases(
    ("operation", "level"), ASKED, core=[each for each in ASKED if each[1] in ("", "STUDY")]
)
at_each_level = engines.cases(["level"], [(level,) for level in LEVELS], core=[("STUDY",)])

THREE = [dimse.instance(uid=f"1.2.3.4.{n}") for n in range(3)]
GOOD = Script(
    find=(Rows(dimse.rows(3)), Final()),
    get=(SendInstances(THREE), Final()),
    move=(counting(3), Final()),
)
OPTIONS = {"timeouts": asdict(dimse.IMPATIENT), "keep_seconds": 0.2}


@dataclass(frozen=True, slots=True)
class Seen:
    """What an HTTP client has in the end.

    Attributes:
        whole: the answer ended as HTTP and its own format demand.
    """

    status: int
    whole: bool
    body: bytes
    problem: dict[str, object]


async def ask(running: Gateway, operation: str, level: str, accept: str | None = None) -> Seen:
    """One request, read as a careful client reads it."""
    headers = {"accept": accept} if accept else {}
    content = b""
    if operation == "store":
        headers["content-type"] = "application/dicom"
        content = part10(dimse.instance(100_000, uid="1.2.3.4.5"))
    elif operation != "echo":
        headers["content-type"] = "application/json"
        body = {"query_level": level, **UIDS[level]}
        if operation == "move":
            body["destination"] = "DEST"
        content = json.dumps(body).encode()
    received = bytearray()
    status = 0
    whole = True
    kind = ""
    try:
        async with running.client.stream(
            "POST", f"/{operation}", headers=headers, content=content
        ) as answer:
            status = answer.status_code
            kind = answer.headers.get("content-type", "")
            async for piece in answer.aiter_bytes():
                received += piece
    except httpx2.RemoteProtocolError:
        whole = False
    data = bytes(received)
    problem = json.loads(data) if kind == "application/problem+json" else {}
    return Seen(status, whole and _well_formed(kind, data), data, problem)


def _well_formed(kind: str, body: bytes) -> bool:
    """Whether a program that reads this body would take it for a whole answer."""
    try:
        if "json" in kind and "ndjson" not in kind:
            json.loads(body)
        elif kind.startswith("multipart/"):
            reader = MultipartReader(boundary_of(kind), max_parts=100)
            reader.feed(body)
            reader.close()
    except (ValueError, RequestError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to fail, and the status that tells it truthfully if nothing was sent before."""

    status: int
    associate: Steps | None = None
    answer: Steps | None = None


FAULTS: dict[str, Fault] = {
    "RJ 1/1/1": Fault(502, associate=(Reject(1, 1, 1),)),
    "RJ 2/1/1": Fault(503, associate=(Reject(2, 1, 1),)),
    "RJ 1/1/2": Fault(502, associate=(Reject(1, 1, 2),)),
    "RJ 1/1/3": Fault(502, associate=(Reject(1, 1, 3),)),
    "RJ 1/1/7": Fault(502, associate=(Reject(1, 1, 7),)),
    "RJ 1/2/1": Fault(502, associate=(Reject(1, 2, 1),)),
    "RJ 2/2/1": Fault(503, associate=(Reject(2, 2, 1),)),
    "RJ 1/2/2": Fault(502, associate=(Reject(1, 2, 2),)),
    "RJ 2/3/1": Fault(503, associate=(Reject(2, 3, 1),)),
    "RJ 2/3/2": Fault(503, associate=(Reject(2, 3, 2),)),
    "RJ 1/3/1": Fault(503, associate=(Reject(1, 3, 1),)),
    "refuses contexts": Fault(501, associate=(Accept(only=frozenset()),)),
    "silent at the request": Fault(504, associate=(Silence(),)),
    "freezes in the accept": Fault(504, associate=(Freeze(Part.ACCEPT, "body"), Accept())),
    "resets at the request": Fault(502, associate=(Reset(),)),
    "garbage for an accept": Fault(502, associate=(garbage(),)),
    "silent": Fault(504, answer=(Silence(),)),
    "frozen": Fault(504, answer=(Stare(),)),
    "freezes in a header": Fault(504, answer=(Freeze(Part.COMMAND, "header"), Final())),
    "freezes in a body": Fault(504, answer=(Freeze(Part.COMMAND, "body"), Final())),
    "drips": Fault(504, answer=(Slow(Part.COMMAND), Final())),
    "aborts": Fault(502, answer=(Abort(0, 0),)),
    "aborts as provider": Fault(502, answer=(Abort(2, 6),)),
    "resets": Fault(502, answer=(Reset(),)),
    "closes": Fault(502, answer=(Close(),)),
    "asks for release": Fault(502, answer=(ReleaseRequest(),)),
    "garbage": Fault(502, answer=(garbage(),)),
    "unknown PDU": Fault(502, answer=(unknown_pdu(),)),
    "huge PDU": Fault(502, answer=(huge_pdu(),)),
    "broken command set": Fault(502, answer=(broken_command_set(),)),
    "wrong message ID": Fault(502, answer=(Final(forged=Forged(message_id_shift=7)),)),
    "other answer": Fault(502, answer=(Final(forged=Forged(field=0x8FFF)),)),
}


def broken(fault: Fault, operation: str) -> Script:
    script = GOOD
    if fault.associate is not None:
        script = replace(script, associate=fault.associate)
    if fault.answer is not None:
        script = replace(script, **{operation: fault.answer})  # type: ignore[arg-type]
    return script


async def assert_works(running: Gateway, peer: BadPacs, operation: str, level: str) -> None:
    peer.script = GOOD
    seen = await ask(running, operation, level)
    assert (seen.status, seen.whole) == (200, True), seen.body


@asked
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_a_failure_before_the_first_answer_has_a_truthful_status(
    operation: str, level: str, fault: Fault
) -> None:
    with trio.fail_after(30), bad_pacs(broken(fault, operation)) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            seen = await ask(running, operation, level)
            if (operation, fault.status) == ("store", 501):  # told for each instance
                assert (seen.status, instances(seen)) == (409, ["0x0122"])
            else:
                assert seen.status == fault.status, seen.body
                assert seen.problem["status"] == fault.status
                assert seen.problem["backend"] == "pacs"
            await assert_works(running, peer, operation, level)


def instances(seen: Seen) -> list[str]:
    return [instance["status"] for instance in json.loads(seen.body)["instances"]]


@asked
async def test_a_pacs_that_is_not_there_is_502(operation: str, level: str) -> None:
    with trio.fail_after(30), bad_pacs(GOOD, listening=False) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            assert (await ask(running, operation, level)).status == 502
            peer.listen()
            await assert_works(running, peer, operation, level)


# Every failure status of the operations, PS3.4 B.2.3, C.4.1 to C.4.3 and PS3.7 annex C.
_COMMON = {0x0110: 502, 0x0122: 501, 0x0124: 502, 0x0210: 502, 0x0211: 502, 0x0212: 502}
STATUSES: dict[str, dict[int, int]] = {
    "echo": _COMMON,
    "find": {**_COMMON, 0xA700: 503, 0xA900: 400, 0xC000: 502, 0xC123: 502, 0xFE00: 502},
    "get": {
        **_COMMON,
        0xA701: 503,
        0xA702: 502,
        0xA900: 400,
        0xB000: 502,
        0xC000: 502,
        0xFE00: 502,
    },
    "move": {
        **_COMMON,
        0xA701: 503,
        0xA702: 502,
        0xA801: 502,
        0xA900: 400,
        0xB000: 502,
        0xC000: 502,
        0xFE00: 502,
    },
}
REFUSALS = [
    (operation, level, status, http)
    for operation, level in ASKED
    if operation in STATUSES
    for status, http in STATUSES[operation].items()
]


@pytest.mark.parametrize(
    ("operation", "level", "status", "http"),
    REFUSALS,
    ids=[f"{o}-{level}-{status:04X}" for o, level, status, _ in REFUSALS],
)
async def test_a_failure_status_is_told_by_the_table(
    operation: str, level: str, status: int, http: int
) -> None:
    counters = Counters(completed=0, failed=2, warning=0) if operation != "echo" else None
    answer = (Final(status, counters=counters, error_comment="no\x07 luck"),)
    script = replace(GOOD, **{operation: answer})  # type: ignore[arg-type]
    with trio.fail_after(30), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            seen = await ask(running, operation, level)
            assert seen.status == http, seen.body
            assert seen.problem["dicom_status"] == f"0x{status:04X}"
            assert b"\x07" not in seen.body
            await assert_works(running, peer, operation, level)


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC000, 0x0110, 0x0122, 0x0124, 0x0117])
async def test_what_is_not_stored_is_not_called_stored(status: int) -> None:
    with trio.fail_after(30), bad_pacs(replace(GOOD, store=(Final(status),))) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            seen = await ask(running, "store", "")
            assert seen.status in (409, 503)
            await assert_works(running, peer, "store", "")


ENDINGS: dict[str, Steps] = {
    "silent": (Silence(),),
    "frozen": (Stare(),),
    "aborts": (Abort(2, 0),),
    "resets": (Reset(),),
    "closes": (Close(),),
    "garbage": (garbage(),),
    "unknown PDU": (unknown_pdu(),),
    "wrong message ID": (Final(forged=Forged(message_id_shift=1)),),
    "C001": (Final(0xC001),),
    "A700": (Final(0xA700),),
    "FE00": (Final(0xFE00),),
}
FIND_ENDINGS: dict[str, Steps] = {
    **ENDINGS,
    "freezes in a header": (Freeze(Part.DATA, "header"), Rows(dimse.rows(1)), Final()),
    "freezes in a body": (Freeze(Part.DATA, "body"), Rows(dimse.rows(1)), Final()),
    "undecodable identifier": (broken_identifier(), Final()),
}


@at_each_level
@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize("ending", FIND_ENDINGS.values(), ids=FIND_ENDINGS.keys())
async def test_rows_that_break_off_never_end_cleanly(
    level: str, accept: str, ending: Steps
) -> None:
    script = replace(GOOD, find=(Rows(dimse.rows(3)), *ending))
    with trio.fail_after(30), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            seen = await ask(running, "find", level, accept)
            assert seen.status >= 400 or not seen.whole, seen.body
            await assert_works(running, peer, "find", level)


GET_ENDINGS: dict[str, Steps] = {
    **ENDINGS,
    "freezes in an instance": (Freeze(Part.DATA, "body"), SendInstances(THREE[:1]), Final()),
    "claims more than it sent": (Final(0, counters=Counters(completed=9, failed=0, warning=0)),),
    "claims fewer than it sent": (Final(0, counters=Counters(completed=1, failed=0, warning=0)),),
    "success with failures": (Final(0, counters=Counters(completed=3, failed=2, warning=0)),),
    "success with remaining": (
        Final(0, counters=Counters(remaining=4, completed=3, failed=0, warning=0)),
    ),
    "B000": (Final(0xB000, counters=Counters(completed=3, failed=1, warning=0)),),
    "A702": (Final(0xA702, counters=Counters(completed=3, failed=1, warning=0)),),
}


@at_each_level
@pytest.mark.parametrize("ending", GET_ENDINGS.values(), ids=GET_ENDINGS.keys())
async def test_instances_that_break_off_never_end_cleanly(level: str, ending: Steps) -> None:
    script = replace(GOOD, get=(SendInstances(THREE), *ending))
    with trio.fail_after(30), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            seen = await ask(running, "get", level)
            assert seen.status >= 400 or not seen.whole
            await assert_works(running, peer, "get", level)


MOVE_ENDINGS: dict[str, Steps] = {
    **ENDINGS,
    "runs backwards": (Final(0, counters=Counters(completed=1, failed=0, warning=0)),),
    "success with remaining": (
        Final(0, counters=Counters(remaining=4, completed=3, failed=0, warning=0)),
    ),
}


@at_each_level
@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize("ending", MOVE_ENDINGS.values(), ids=MOVE_ENDINGS.keys())
async def test_a_move_that_breaks_off_never_ends_cleanly(
    level: str, accept: str, ending: Steps
) -> None:
    script = replace(GOOD, move=(counting(3), *ending))
    with trio.fail_after(30), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            seen = await ask(running, "move", level, accept)
            assert seen.status >= 400 or not seen.whole, seen.body
            await assert_works(running, peer, "move", level)


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
async def test_a_first_row_that_cannot_be_decoded_is_502(accept: str) -> None:
    with trio.fail_after(30), bad_pacs(replace(GOOD, find=(broken_identifier(), Final()))) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            assert (await ask(running, "find", "STUDY", accept)).status == 502


@pytest.mark.parametrize("rows", [0, 2])
async def test_a_query_that_the_pacs_ends_with_a_warning_is_told_to_be_cut(rows: int) -> None:
    script = replace(GOOD, find=(Rows(dimse.rows(rows)), Final(0xB000)))
    with trio.fail_after(30), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            answer = await running.client.post("/find", json={"query_level": "STUDY", "limit": 10})
    assert (answer.status_code, len(answer.json())) == (200, rows)
    assert "additional results" in answer.headers["warning"]


async def test_keys_that_the_pacs_did_not_support_are_told_on_a_page() -> None:
    late = Rows(dimse.rows(1), status=0xFF01, delay=0.1)
    with (
        trio.fail_after(30),
        bad_pacs(replace(GOOD, find=(Rows(dimse.rows(1)), late, Final()))) as peer,
    ):
        async with gateway(port=peer.port, options=OPTIONS) as running:
            answer = await running.client.post("/find", json={"query_level": "STUDY", "limit": 10})
    assert "not supported" in answer.headers["warning"]


PENDING_ONLY: dict[str, tuple[str, Steps]] = {
    "get, some remain": (
        "get",
        (
            SendInstances(THREE[:1], total=3, report=False),
            Progress([Counters(completed=1, remaining=2)]),
            Final(counters=Counters()),
        ),
    ),
    "get, some failed": (
        "get",
        (
            SendInstances(THREE[:1], report=False),
            Progress([Counters(completed=1, failed=2)]),
            Final(0, counters=Counters()),
        ),
    ),
    "get, all failed": ("get", (Progress([Counters(failed=3)]), Final(0, counters=Counters()))),
    "move, all failed": (
        "move",
        (Progress([Counters(completed=0, failed=3)]), Final(0, counters=Counters())),
    ),
    "move, some remain": (
        "move",
        (
            Progress([Counters(completed=1, remaining=9)]),
            Final(0, counters=Counters(completed=1)),
        ),
    ),
}


@pytest.mark.parametrize(("operation", "steps"), PENDING_ONLY.values(), ids=PENDING_ONLY.keys())
async def test_what_only_pending_responses_told_counts(operation: str, steps: Steps) -> None:
    script = replace(GOOD, **{operation: steps})  # type: ignore[arg-type]
    with trio.fail_after(30), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            seen = await ask(running, operation, "STUDY")
    assert seen.status == 502 or not seen.whole


async def test_a_move_of_which_a_part_failed_says_so() -> None:
    final = Final(
        0xB000,
        counters=Counters(completed=2, failed=1, warning=0),
        failed=("1.2.3.4.9",),
    )
    with trio.fail_after(30), bad_pacs(replace(GOOD, move=(counting(2), final))) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            seen = await ask(running, "move", "STUDY")
    assert seen.status == 206
    answer = json.loads(seen.body)
    assert answer["status"] == "0xB000"
    assert (answer["completed"], answer["failed"]) == (2, 1)
    assert answer["missing"] == ["1.2.3.4.9"]


@at_each_level
async def test_nothing_found_is_an_empty_list_only_for_success(level: str) -> None:
    with trio.fail_after(30), bad_pacs(Script()) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            found = await ask(running, "find", level)
            got = await ask(running, "get", level)
    assert (found.status, found.body) == (200, b"[]")
    assert got.status == 404


async def test_an_instance_that_the_pacs_does_not_accept_is_told_and_the_others_are_stored() -> (
    None
):
    other = replace(dimse.instance(uid="1.2"), transfer_syntax="1.2.840.10008.1.2.5")
    files = [dimse.instance(uid="1.1"), other, dimse.instance(uid="1.3")]
    body = b"".join(
        b"--b\r\nContent-Type: application/dicom\r\n\r\n" + part10(file) + b"\r\n" for file in files
    )
    accept = Accept(transfer_syntaxes=frozenset((dimse.EXPLICIT,)))
    with trio.fail_after(30), bad_pacs(replace(GOOD, associate=(accept,))) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            answer = await running.client.post(
                "/store",
                content=body + b"--b--\r\n",
                headers={"content-type": "multipart/related; boundary=b"},
            )
    assert answer.status_code == 202
    told = [(i["sop_instance_uid"], i["status"]) for i in answer.json()["instances"]]
    assert told == [("1.1", "0x0000"), ("1.2", "0x0122"), ("1.3", "0x0000")]
    assert [r.sop_instance for r in peer.requests] == ["1.1", "1.3"]


async def test_a_data_set_of_odd_length_is_refused_before_it_is_finished() -> None:
    file = part10(dimse.instance(1000, uid="1.1"))[:-1]
    with trio.fail_after(30), bad_pacs(GOOD) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            answer = await running.client.post(
                "/store", content=file, headers={"content-type": "application/dicom"}
            )
            assert answer.status_code == 400
            assert "odd" in answer.json()["detail"]
            assert peer.requests == []
            await assert_works(running, peer, "store", "")


async def test_a_deflated_data_set_of_odd_length_is_padded() -> None:
    odd = replace(
        dimse.instance(uid="1.1"), transfer_syntax="1.2.840.10008.1.2.1.99", data=b"x" * 101
    )
    with trio.fail_after(30), bad_pacs(GOOD) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            answer = await running.client.post(
                "/store", content=part10(odd), headers={"content-type": "application/dicom"}
            )
            assert answer.status_code == 200
    assert peer.requests[0].data == b"x" * 101 + b"\0"


async def test_an_upload_that_breaks_off_never_reaches_the_pacs_as_an_object() -> None:
    with trio.fail_after(30), bad_pacs(GOOD) as peer:
        async with gateway(port=peer.port, options=OPTIONS) as running:
            file = part10(dimse.instance(3_000_000))
            stream = await trio.open_tcp_stream(running.host, running.port)
            await stream.send_all(
                b"POST /dicom/store HTTP/1.1\r\nHost: x\r\nContent-Type: application/dicom\r\n"
                b"Content-Length: " + str(len(file)).encode() + b"\r\n\r\n" + file[:2_000_000]
            )
            await trio.sleep(0.2)
            await stream.aclose()
            with trio.move_on_after(2):
                while running.backend.usage().busy:
                    await trio.sleep(0.01)
            assert running.backend.usage().busy == 0
            assert [r for r in peer.requests if r.kind == "C-STORE-RQ"] == []
            await assert_works(running, peer, "store", "")
