"""Retrieve by C-MOVE to a receiver of Harmony's own, as an HTTP client sees it.

With a scripted PACS for what goes wrong, with Orthanc and dcmqrscp for what must go well.
"""

from __future__ import annotations

import contextlib

import httpx2
import pytest
import trio

from tests.support import dimse
from tests.support.bad_pacs import Accept, Counters, Final, Instance, Pause, Script, bad_pacs
from tests.support.dcmqrscp import Destination, dcmqrscp
from tests.support.eventually import eventually
from tests.support.files import contents, parts
from tests.support.gateway import gateway
from tests.support.moving import StoreAt
from tests.support.processes import free_port
from tests.support.studies import Plan, write_studies

pytestmark = pytest.mark.usefixtures("engine")

SECONDS = 60
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
CT = dimse.CT
STUDY = {"query_level": "STUDY", "study_instance_uid": "1.2.3"}
QUICK = {"timeouts": {"move_seconds": 1.0}}


def options(port, retrieve="move", *, aet="RECEIVER", bind_addr="127.0.0.1", **more):
    receiver = {"local_aet": aet, "port": port, "bind_addr": bind_addr}
    return {"retrieve": retrieve, "receiver": receiver, **more}


def told(**counters):
    return Final(0, counters=Counters(**counters))


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def objects():
    return [dimse.instance(20_000, uid=f"1.2.3.{number}") for number in range(1, 4)]


async def retrieve(script, port, **settings):
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=options(port, **settings)) as running:
            return await running.client.post("/get", json=STUDY)


def uids(answer):
    return [
        line.split(": ")[1].removesuffix(".dcm")
        for head, _ in parts(answer)
        for line in head.splitlines()
        if line.startswith("Content-Location")
    ]


async def test_what_the_pacs_sends_to_the_receiver_is_the_answer(port, objects):
    script = Script(move=(StoreAt(port=port, instances=objects), Final()))
    answer = await retrieve(script, port)
    assert answer.status_code == 200, answer.text
    assert uids(answer) == ["1.2.3.1", "1.2.3.2", "1.2.3.3"]
    for (_, data), each in zip(parts(answer), objects, strict=True):
        assert data.endswith(each.data)


@pytest.mark.parametrize("originator", [None, "SOMEBODY"])
async def test_one_that_names_no_or_another_originator_goes_by_its_uids(port, originator):
    objects = [by_study(uid) for uid in ("1.2.3.1", "1.2.3.2")]
    script = Script(
        move=(StoreAt(port=port, instances=objects, originator=originator, message_id=9), Final())
    )
    answer = await retrieve(script, port)
    assert answer.status_code == 200, answer.text
    assert uids(answer) == ["1.2.3.1", "1.2.3.2"]


def by_study(uid):
    """An instance that says to which study it belongs."""
    plain = dimse.instance(20_000, uid=uid)
    pixels = plain.data.index(b"\xe0\x7f")
    study = b"\x20\x00\x0d\x00UI\x06\x001.2.3\0"
    return Instance(
        sop_class=plain.sop_class,
        sop_instance=uid,
        transfer_syntax=plain.transfer_syntax,
        data=plain.data[:pixels] + study + plain.data[pixels:],
    )


async def test_objects_may_come_after_the_final_response(port, objects):
    script = Script(
        move=(
            StoreAt(port=port, instances=objects[:1]),
            told(completed=3),
            Pause(0.3),
            StoreAt(port=port, instances=objects[1:]),
        )
    )
    answer = await retrieve(script, port)
    assert uids(answer) == ["1.2.3.1", "1.2.3.2", "1.2.3.3"]


async def test_one_that_comes_twice_is_given_once(port, objects):
    script = Script(
        move=(StoreAt(port=port, instances=[objects[0], *objects[:2]]), told(completed=2))
    )
    assert uids(await retrieve(script, port)) == ["1.2.3.1", "1.2.3.2"]


async def test_when_nothing_arrives_the_answer_names_the_entry_to_add(port):
    answer = await retrieve(Script(move=(told(completed=2),)), port, **QUICK)
    assert answer.status_code == 502
    assert f"add AE title RECEIVER, host 127.0.0.1, port {port}" in answer.json()["detail"]


async def test_a_destination_that_is_unknown_names_the_entry_too(port):
    answer = await retrieve(Script(move=(Final(0xA801),)), port)
    assert answer.status_code == 502
    assert f"add AE title RECEIVER, host 127.0.0.1, port {port}" in answer.json()["detail"]


async def broken(script, port, **settings):
    """The answer is a failure, or has begun and does not end cleanly."""
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=options(port, **settings)) as running:
            with contextlib.suppress(httpx2.RemoteProtocolError):
                answer = await running.client.post("/get", json=STUDY)
                assert answer.status_code >= 400
            assert (await running.client.post("/echo")).status_code == 200


@pytest.mark.parametrize(
    "ending",
    ["fewer", "more", "cut", "fails", "partial", "uncounted"],
)
async def test_what_is_not_complete_never_looks_so(port, objects, ending):
    stored = StoreAt(port=port, instances=objects)
    steps = {
        "fewer": (stored, told(completed=4)),
        "more": (stored, told(completed=2)),
        "cut": (StoreAt(port=port, instances=objects, ends="cut"), told(completed=3)),
        "fails": (stored, Final(0xA702, counters=Counters(completed=3, failed=1))),
        "partial": (stored, Final(0xB000, counters=Counters(completed=3, failed=1))),
        "uncounted": (stored, Final(0, counters=Counters())),
    }[ending]
    await broken(Script(move=steps), port, **QUICK)


async def test_auto_moves_if_the_pacs_has_no_get(port, objects):
    script = Script(
        associate=(Accept(only=frozenset({FIND, MOVE, CT})),),
        move=(StoreAt(port=port, instances=objects), Final()),
    )
    answer = await retrieve(script, port, retrieve="auto")
    assert uids(answer) == ["1.2.3.1", "1.2.3.2", "1.2.3.3"]


async def test_a_client_that_goes_ends_the_retrieve_and_the_sender_is_refused(port, objects):
    big = [dimse.instance(30_000_000, uid="1.2.3.9"), *objects]
    script = Script(move=(StoreAt(port=port, instances=big), Final()))
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=options(port)) as running:
            async with running.client.stream("POST", "/get", json=STUDY) as answer:
                assert answer.status_code == 200
            await eventually(lambda: running.backend.usage().busy == 0, seconds=5)
            assert (await running.client.post("/echo")).status_code == 200


# With real PACS


@pytest.fixture(params=["orthanc", "dcmqrscp"])
def real(request, pacs_empty, tmp_path, port):
    """A loaded PACS that knows the receiver: how to open a gateway with it, what it holds."""
    made = write_studies(Plan(studies=2, series=2, instances=5, size=64), tmp_path / "made")
    if request.param == "orthanc":
        pacs = pacs_empty
        pacs.add_modality("RECEIVER", pacs.caller_host, port)
        pacs.load(one.file for one in made)
        yield Real(made, pacs.caller_host, port, host=pacs.host, port=pacs.port, aet=pacs.ae_title)
        return
    known = (Destination(ae_title="RECEIVER", port=port),)
    with dcmqrscp(tmp_path / "dcmqrscp", destinations=known) as running:
        running.load(one.file for one in made)
        yield Real(made, "127.0.0.1", port, port=running.port, aet=running.ae_title)


class Real:
    """A real PACS, loaded, that knows the receiver."""

    def __init__(self, made, address, receiver_port, **peer):
        self.made = made
        self.entry = f"host {address}, port {receiver_port}"
        self._receiver = {"port": receiver_port, "bind_addr": address}
        self._peer = peer

    def gateway(self, aet="RECEIVER"):
        return gateway(**self._peer, options=options(**self._receiver, aet=aet))


async def test_real_pacs_send_each_file_unchanged(real):
    study = [one for one in real.made if one.study_uid == real.made[0].study_uid]
    asked = {"study_instance_uid": study[0].study_uid}
    with trio.fail_after(SECONDS):
        async with real.gateway() as running:
            answer = await running.client.post("/get", json=asked)
    assert answer.status_code == 200, answer.text
    by_uid = {contents(data).sop_instance_uid: contents(data) for _, data in parts(answer)}
    assert by_uid == {one.sop_uid: contents(one.file.read_bytes()) for one in study}


async def test_retrieves_at_the_same_time_get_their_own(real):
    answers = {}
    with trio.fail_after(SECONDS):
        async with real.gateway() as running, trio.open_nursery() as nursery:

            async def ask(study):
                answers[study] = await running.client.post(
                    "/get", json={"study_instance_uid": study}
                )

            for study in {one.study_uid for one in real.made}:
                nursery.start_soon(ask, study)
    for study, answer in answers.items():
        assert answer.status_code == 200, answer.text
        got = sorted(contents(data).sop_instance_uid for _, data in parts(answer))
        assert got == sorted(one.sop_uid for one in real.made if one.study_uid == study)


async def test_a_real_pacs_that_lacks_the_entry_is_told_which(real):
    asked = {"study_instance_uid": real.made[0].study_uid}
    with trio.fail_after(SECONDS):
        async with real.gateway(aet="UNKNOWN") as running:
            answer = await running.client.post("/get", json=asked)
    assert answer.status_code == 502
    assert f"add AE title UNKNOWN, {real.entry}" in answer.json()["detail"]
