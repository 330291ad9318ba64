"""First things first, and memory that does not grow with the answer."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator

import pytest
import trio

from harmony.dicom.multipart import MultipartReader, PartBegin, boundary_of
from tests.support import dimse
from tests.support.bad_pacs import Final, Rows, Script, SendInstances, bad_pacs
from tests.support.eventually import eventually
from tests.support.gateway import gateway
from tests.support.part10 import part10

pytestmark = pytest.mark.usefixtures("engine")

UIDS = {"query_level": "STUDY", "study_instance_uid": "1.2.3"}
MEGABYTE = 1 << 20


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_the_first_row_is_out_while_the_peer_is_still_sending() -> None:
    script = Script(find=(Rows(dimse.rows(2000), delay=0.001), Final()))
    with trio.fail_after(60), bad_pacs(script) as peer:
        async with gateway(port=peer.port) as running:
            ask = running.client.stream(
                "POST", "/find", json=UIDS, headers={"accept": "application/x-ndjson"}
            )
            async with ask as answer:
                lines = answer.aiter_lines()
                first = json.loads(await anext(lines))
                assert running.backend.usage().busy == 1, "the query is not over"
                assert first["00100020"]["Value"] == ["P00000"]
                assert len([line async for line in lines]) == 1999


async def test_memory_does_not_grow_with_a_study() -> None:
    count, size = 1000, MEGABYTE // 2
    one = dimse.instance(size)
    script = Script(get=(SendInstances([one] * count), Final()))
    with trio.fail_after(100), bad_pacs(script) as peer:
        async with gateway(port=peer.port) as running:
            before = most = resident_bytes()
            received = 0
            async with running.client.stream("POST", "/get", json=UIDS) as answer:
                assert answer.status_code == 200
                async for piece in answer.aiter_bytes():
                    received += len(piece)
                    most = max(most, resident_bytes())
    assert received > count * size
    assert most - before < 32 * MEGABYTE


async def test_one_large_object_does_not_pass_through_memory_whole() -> None:
    large = dimse.instance(150 * MEGABYTE)
    with trio.fail_after(60), bad_pacs(Script(get=(SendInstances([large]), Final()))) as peer:
        async with gateway(port=peer.port) as running:
            before = most = resident_bytes()
            async with running.client.stream("POST", "/get", json=UIDS) as answer:
                async for _ in answer.aiter_bytes():
                    most = max(most, resident_bytes())
    assert most - before < 32 * MEGABYTE


async def test_a_client_that_reads_slowly_slows_the_pacs_down() -> None:
    one = dimse.instance(MEGABYTE)
    script = Script(get=(SendInstances([one] * 200), Final()), keep_data=False)
    with trio.fail_after(60), bad_pacs(script) as peer:
        async with gateway(port=peer.port) as running:
            before = resident_bytes()
            async with running.client.stream("POST", "/get", json=UIDS) as answer:
                pieces = answer.aiter_bytes()
                await anext(pieces)
                await trio.sleep(0.5)
                assert resident_bytes() - before < 32 * MEGABYTE
                assert running.backend.usage().busy == 1
                received = 0
                async for piece in pieces:
                    received += len(piece)
    assert received > 199 * MEGABYTE


async def test_an_upload_reaches_the_pacs_while_it_is_still_coming() -> None:
    sent = [dimse.instance(300_000, uid=f"1.2.{n}") for n in range(5)]
    moved_on = trio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"--b"
        for instance in sent:
            yield b"\r\nContent-Type: application/dicom\r\n\r\n" + part10(instance) + b"\r\n--b"
            if instance is sent[0]:
                await eventually(lambda: bool(peer.requests))
                moved_on.set()
        yield b"--\r\n"

    with trio.fail_after(30), bad_pacs(Script()) as peer:
        async with gateway(port=peer.port) as running:
            answer = await running.client.post(
                "/store",
                content=body(),
                headers={"content-type": 'multipart/related; type="application/dicom"; boundary=b'},
            )
    assert moved_on.is_set()
    assert answer.status_code == 200
    assert [i["status"] for i in answer.json()["instances"]] == ["0x0000"] * 5
    assert [r.data for r in peer.requests] == [i.data for i in sent]
    assert len(peer.connections) == 1, "one association for a run of objects"


async def test_a_multipart_answer_has_a_part_for_each_instance() -> None:
    sent = [dimse.instance(n * 1000, uid=f"1.2.{n}") for n in range(1, 4)]
    with trio.fail_after(30), bad_pacs(Script(get=(SendInstances(sent), Final()))) as peer:
        async with gateway(port=peer.port) as running:
            answer = await running.client.post("/get", json=UIDS)
    reader = MultipartReader(boundary_of(answer.headers["content-type"]), max_parts=10)
    events = reader.feed(answer.content)
    reader.close()
    begins = [event for event in events if isinstance(event, PartBegin)]
    assert len(begins) == 3
