"""Several PACS behind one endpoint: what an HTTP client is told, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict

import httpx2
import pytest
import trio

from tests.support import dimse
from tests.support.bad_pacs import (
    Abort,
    BadPacs,
    Final,
    Pause,
    Reject,
    Rows,
    Script,
    SendInstances,
    Steps,
    bad_pacs,
)
from tests.support.gateway import gateway
from tests.support.part10 import part10

pytestmark = pytest.mark.usefixtures("engine")

STUDY = {"query_level": "STUDY", "study_instance_uid": "1.2.3"}
ALL = {"query_level": "STUDY"}
OPTIONS = {"timeouts": asdict(dimse.IMPATIENT), "keep_seconds": 0.2}
NDJSON = {"accept": "application/x-ndjson"}
ROWS = dimse.rows(4)


def rows(*numbers: int) -> Steps:
    return (Rows([ROWS[number] for number in numbers]),)


def studies(answer: httpx2.Response) -> list[str]:
    return sorted(row["0020000D"]["Value"][0] for row in answer.json())


class Peers:
    """Scripted PACS by name, and a gateway before them."""

    def __init__(self, stack: ExitStack, scripts: Mapping[str, Script | None]) -> None:
        self._peers: dict[str, BadPacs] = {
            name: stack.enter_context(bad_pacs(script or Script(), listening=script is not None))
            for name, script in scripts.items()
        }

    def __getitem__(self, name: str) -> BadPacs:
        return self._peers[name]

    def gateway(self, strategy: str, **options):
        first, *others = self._peers
        return gateway(
            port=self._peers[first].port,
            others={name: self._peers[name].port for name in others},
            options=OPTIONS,
            strategy=strategy,
            **options,
        )


def peers(stack: ExitStack, **scripts: Script | None) -> Peers:
    """None is a PACS that is not there; the first one is called ``pacs``."""
    return Peers(stack, scripts)


def upload(*instances) -> dict[str, object]:
    parts = [
        b"\r\nContent-Type: application/dicom\r\n\r\n" + part10(each) + b"\r\n--b"
        for each in instances
    ]
    return {
        "content": b"--b" + b"".join(parts) + b"--\r\n",
        "headers": {"content-type": 'multipart/related; type="application/dicom"; boundary=b'},
    }


@pytest.mark.parametrize("down", [None, Script(associate=(Reject(1, 1, 7),))])
async def test_failover_asks_the_next_pacs_for_everything(down: Script | None) -> None:
    one = dimse.instance(uid="1.2.3.4.5")
    up = Script(find=(*rows(0), Final()), get=(SendInstances([one]), Final()))
    with trio.fail_after(30), ExitStack() as stack:
        running_peers = peers(stack, pacs=down, second=up)
        async with running_peers.gateway("failover") as running:
            assert studies(await running.client.post("/find", json=ALL)) == ["1.2.3.1"]
            assert (await running.client.post("/echo")).status_code == 200
            assert (await running.client.post("/get", json=STUDY)).status_code == 200
            sent = [dimse.instance(50_000, uid=f"1.2.{n}") for n in range(3)]
            answer = await running.client.post("/store", **upload(*sent))
            assert [i["status"] for i in answer.json()["instances"]] == ["0x0000"] * 3
        stored = [r.data for r in running_peers["second"].requests if r.kind == "C-STORE-RQ"]
        assert stored == [each.data for each in sent]


async def test_failover_says_who_was_tried() -> None:
    with trio.fail_after(30), ExitStack() as stack:
        async with peers(stack, pacs=None, second=None).gateway("failover") as running:
            answer = await running.client.post("/find", json=ALL)
    assert answer.status_code == 502
    assert answer.json()["backend"] == "second"
    assert "tried in this order: pacs, second" in answer.json()["detail"]


async def test_a_pacs_that_was_asked_and_failed_is_the_answer() -> None:
    with trio.fail_after(30), ExitStack() as stack:
        running_peers = peers(
            stack, pacs=Script(find=(Abort(0, 0),)), second=Script(find=(*rows(0), Final()))
        )
        async with running_peers.gateway("failover") as running:
            answer = await running.client.post("/find", json=ALL)
        assert answer.status_code == 502
        assert running_peers["second"].requests == []


async def test_fan_out_stores_a_large_object_at_both_byte_for_byte() -> None:
    large = dimse.instance(5_000_000, uid="1.2.1")
    small = dimse.instance(1000, uid="1.2.2")
    with trio.fail_after(60), ExitStack() as stack:
        both = peers(stack, pacs=Script(), second=Script())
        async with both.gateway("fan_out") as running:
            answer = await running.client.post("/store", **upload(large, small))
        assert answer.status_code == 200
        ok = {"pacs": "0x0000", "second": "0x0000"}
        assert [i["by_backend"] for i in answer.json()["instances"]] == [ok, ok]
        for name in ("pacs", "second"):
            assert [r.data for r in both[name].requests] == [large.data, small.data]


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (None, "0xA700"),
        (Script(store=(Final(0xC001),)), "0xC001"),
        (Script(store=(Abort(0, 0),)), None),
    ],
)
async def test_fan_out_calls_stored_only_what_both_have(bad: Script | None, status: str) -> None:
    with trio.fail_after(60), ExitStack() as stack:
        both = peers(stack, pacs=Script(), second=bad)
        async with both.gateway("fan_out") as running:
            answer = await running.client.post(
                "/store", **upload(*(dimse.instance(100_000, uid=f"1.2.{n}") for n in range(3)))
            )
        assert answer.status_code in (409, 503)
        for told in answer.json()["instances"]:
            assert told["by_backend"]["pacs"] == "0x0000"
            assert told["by_backend"]["second"] == told["status"] == (status or "0xA700")
        assert len(both["pacs"].requests) == 3


async def test_fan_out_echo_needs_both() -> None:
    with trio.fail_after(30), ExitStack() as stack:
        async with peers(stack, pacs=Script(), second=None).gateway("fan_out") as running:
            answer = await running.client.post("/echo")
    assert (answer.status_code, answer.json()["backend"]) == (502, "second")


async def test_merge_gives_each_study_once() -> None:
    with trio.fail_after(30), ExitStack() as stack:
        both = peers(
            stack,
            pacs=Script(find=(*rows(0, 1), Final())),
            second=Script(find=(*rows(1, 2), Final())),
        )
        async with both.gateway("merge") as running:
            answer = await running.client.post("/find", json=ALL)
            assert studies(answer) == ["1.2.3.1", "1.2.3.2", "1.2.3.3"]
            assert "warning" not in answer.headers
            page = await running.client.post("/find", json={**ALL, "limit": 2, "offset": 1})
            assert len(page.json()) == 2
            assert "warning" not in page.headers
            page = await running.client.post("/find", json={**ALL, "limit": 1, "offset": 1})
            assert len(page.json()) == 1
            assert "additional results" in page.headers["warning"]


# Without a limit the head waits for the first row only.
@pytest.mark.parametrize(
    ("query", "found"), [(ALL, ()), ({**ALL, "limit": 10}, ()), ({**ALL, "limit": 10}, rows(0))]
)
async def test_merge_warns_of_a_source_that_failed_before(
    query: dict[str, object], found: Steps
) -> None:
    # The one that answers takes its time, so that the failure is known before the head is out.
    slow = Script(find=(Pause(0.3), *found, Final()))
    with trio.fail_after(30), ExitStack() as stack:
        both = peers(stack, pacs=slow, second=None)
        async with both.gateway("merge", endpoint={"empty_find": 204}) as running:
            answer = await running.client.post("/find", json=query)
    assert answer.status_code == 200
    assert len(answer.json()) == len(found)
    host = answer.request.headers["host"]
    assert answer.headers["warning"] == (f'299 {host} "backend second gave no or not all answers"')


@pytest.mark.parametrize("headers", [{}, NDJSON])
@pytest.mark.parametrize("given", [(), rows(2)])
async def test_merge_breaks_the_body_for_a_source_that_failed_late(
    headers: dict[str, str], given: Steps
) -> None:
    late = Script(find=(*given, Pause(0.5), Abort(0, 0)))
    with trio.fail_after(30), ExitStack() as stack:
        both = peers(stack, pacs=Script(find=(*rows(0, 1), Final())), second=late)
        async with both.gateway("merge") as running:
            received = b""
            with pytest.raises(httpx2.RemoteProtocolError):
                async with running.client.stream(
                    "POST", "/find", json=ALL, headers=headers
                ) as answer:
                    assert answer.status_code == 200
                    async for piece in answer.aiter_bytes():
                        received += piece
    if not headers:
        with pytest.raises(ValueError, match="delimiter"):
            json.loads(received)


async def test_merge_of_failures_is_a_failure() -> None:
    with trio.fail_after(30), ExitStack() as stack:
        both = peers(stack, pacs=None, second=Script(find=(Final(0xA700),)))
        async with both.gateway("merge") as running:
            answer = await running.client.post("/find", json=ALL)
    assert answer.status_code in (502, 503)


async def test_merge_may_require_all() -> None:
    with trio.fail_after(30), ExitStack() as stack:
        both = peers(stack, pacs=Script(find=(Pause(0.3), *rows(0), Final())), second=None)
        async with both.gateway("merge", require_all=True) as running:
            answer = await running.client.post("/find", json=ALL)
    assert (answer.status_code, answer.json()["backend"]) == (502, "second")


async def test_merge_retrieves_from_the_one_that_has_it() -> None:
    one = dimse.instance(uid="1.2.3.4.5")
    with trio.fail_after(30), ExitStack() as stack:
        both = peers(stack, pacs=Script(), second=Script(get=(SendInstances([one]), Final())))
        async with both.gateway("merge") as running:
            assert (await running.client.post("/get", json=STUDY)).status_code == 200
            both["second"].script = Script()
            assert (await running.client.post("/get", json=STUDY)).status_code == 404
            both["pacs"].script = Script(get=(Abort(0, 0),))
            assert (await running.client.post("/get", json=STUDY)).status_code == 502


async def test_instances_of_one_upload_go_where_they_belong() -> None:
    other = dimse.instance(1000, uid="1.2.2")
    with trio.fail_after(30), ExitStack() as stack:
        both = peers(stack, pacs=Script(), second=Script())
        when = {"pacs": {"sop_class": ("MRImageStorage",)}, "second": {"sop_class": ("CT*",)}}
        async with both.gateway("failover", when=when) as running:
            answer = await running.client.post("/store", **upload(other))
            refused = await running.client.post("/find", json=ALL)
        assert answer.status_code == 200
        assert (len(both["pacs"].requests), len(both["second"].requests)) == (0, 1)
    assert refused.status_code == 422
    assert refused.json()["type"].endswith("no-backend-for-this")
