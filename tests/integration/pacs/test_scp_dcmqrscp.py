"""Harmony and dcmqrscp: a second PACS that sends to Harmony, is sent to, and may refuse C-GET."""

from __future__ import annotations

import pytest
import trio

from tests.support.dcmqrscp import Destination
from tests.support.dcmqrscp import dcmqrscp as dcmqrscp_running
from tests.support.dcmtk import STUDY_ROOT, Called, findscu, getscu, movescu, storescu
from tests.support.deployment import backend, deployed, pipeline, table
from tests.support.files import Contents, contents, parts
from tests.support.processes import free_port
from tests.support.studies import Plan, write_studies

pytestmark = pytest.mark.usefixtures("dcmtk")

SECONDS = 100
HERE = "127.0.0.1"
HTTP = (
    "[networks.default.http]\nport = 0\n"
    + pipeline("web", ["web"], ["pacs"])
    + table("endpoints.web", "http", path_prefix="/dicom")
)


@pytest.fixture
def made(tmp_path):
    return write_studies(Plan(studies=2, instances=4, size=32), tmp_path / "made")


@pytest.fixture
def port():
    """Where Harmony is to listen: dcmqrscp reads its table of hosts when it starts."""
    return free_port()


@pytest.fixture
def start(tmp_path):
    """Begins a dcmqrscp that sends to these destinations."""

    def begin(*destinations, options=()):
        return dcmqrscp_running(tmp_path / "peer", destinations=destinations, options=options)

    return begin


def called(pacs):
    return Called(host=HERE, port=pacs.port, aet=pacs.ae_title)


def endpoint(port, *destinations):
    """An archive of Harmony's own behind an endpoint called ``scp``."""
    return (
        pipeline("own", ["scp"], ["store"])
        + table(
            "endpoints.scp",
            "dicom",
            local_aet="HARMONY",
            port=port,
            move_destinations=list(destinations),
        )
        + table("backends.store", "archive", folder="archive")
    )


def in_order(files):
    return sorted(files, key=lambda file: file.sop_instance_uid)


def sources(made, study=None):
    return in_order(
        contents(one.file.read_bytes()) for one in made if study in (None, one.study_uid)
    )


def of_study(uid):
    return {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": uid}


async def everything(peer, made, folder):
    found: list[Contents] = []
    for number, uid in enumerate(sorted({one.study_uid for one in made})):
        found += (
            await getscu(peer, STUDY_ROOT, of_study(uid), folder=folder / str(number))
        ).received
    return in_order(found)


async def test_it_moves_to_harmony_and_harmony_to_it(start, made, port, tmp_path):
    study = made[0].study_uid
    with trio.fail_after(SECONDS), start(Destination(ae_title="HARMONY", port=port)) as pacs:
        text = endpoint(port, "pacs") + backend("pacs", called(pacs))
        async with deployed(tmp_path / "harmony", text) as running:
            harmony = running.called("scp", "HARMONY")
            pacs.load(one.file for one in made if one.study_uid == study)
            moved = await movescu(called(pacs), STUDY_ROOT, of_study(study), destination="HARMONY")
            assert (moved.status, moved.counters) == (0, (4, 0, 0))
            assert await everything(harmony, made, tmp_path / "to") == sources(made, study)

            await storescu(harmony, [one.file for one in made if one.study_uid != study])
            (other,) = {one.study_uid for one in made} - {study}
            moved = await movescu(harmony, STUDY_ROOT, of_study(other), destination=pacs.ae_title)
            assert (moved.status, moved.counters) == (0, (4, 0, 0))
            assert await everything(called(pacs), made, tmp_path / "back") == sources(made)


@pytest.mark.parametrize(
    ("retrieve", "options"),
    [("move", ()), ("auto", ("--disable-get",))],
    ids=["move", "auto, and C-GET refused"],
)
@pytest.mark.parametrize("named", [True, False], ids=["named", "inline"])
async def test_http_retrieves_by_move_to_a_receiver(
    start, made, port, tmp_path, retrieve, options, named
):
    study = made[0].study_uid
    destination = Destination(ae_title="HARMONY", port=port)
    inline = {"local_aet": "HARMONY", "port": port}
    with trio.fail_after(SECONDS), start(destination, options=options) as pacs:
        pacs.load(one.file for one in made)
        text = HTTP + backend(
            "pacs", called(pacs), retrieve=retrieve, receiver="scp" if named else inline
        )
        text += endpoint(port) if named else ""
        async with deployed(tmp_path / "harmony", text) as running:
            async with running.client(prefix="/dicom") as client:
                for _ in range(2):  # the second time it is remembered
                    answer = await client.post("/get", json={"study_instance_uid": study})
                    assert answer.status_code == 200, answer.text
                    got = in_order(contents(data) for _, data in parts(answer))
                    assert got == sources(made, study)


@pytest.mark.parametrize("named", [True, False], ids=["named", "inline"])
async def test_dcmtk_gets_what_harmony_can_only_move(start, made, port, tmp_path, named):
    study = made[0].study_uid
    inline = {"local_aet": "HARMONY", "port": port}
    with (
        trio.fail_after(SECONDS),
        start(Destination(ae_title="HARMONY", port=port), options=("--disable-get",)) as pacs,
    ):
        pacs.load(one.file for one in made)
        text = (
            pipeline("router", ["front"], ["pacs"])
            + table("endpoints.front", "dicom", local_aet="FRONT", port=0)
            + backend("pacs", called(pacs), receiver="scp" if named else inline)
        )
        text += endpoint(port) if named else ""
        async with deployed(tmp_path / "harmony", text) as running:
            front = running.called("front", "FRONT")
            got = await getscu(front, STUDY_ROOT, of_study(study), folder=tmp_path / "got")
            assert (got.status, got.counters) == (0, (4, 0, 0))
            assert in_order(got.received) == sources(made, study)


async def test_without_a_receiver_a_pacs_that_refuses_get_is_an_error_that_says_what_to_set(
    start, made, tmp_path
):
    study = made[0].study_uid
    with trio.fail_after(SECONDS), start(options=("--disable-get",)) as pacs:
        pacs.load(one.file for one in made)
        async with deployed(tmp_path / "harmony", HTTP + backend("pacs", called(pacs))) as running:
            async with running.client(prefix="/dicom") as client:
                answer = await client.post("/get", json={"study_instance_uid": study})
    assert answer.status_code >= 500
    assert "`receiver`" in answer.json()["detail"]


async def test_files_that_go_elsewhere_are_no_empty_answer_and_the_entry_is_named(
    start, made, port, storescp, tmp_path
):
    study = made[0].study_uid
    # Somebody else has the receiver's name in the table of the PACS, and takes all it is sent.
    wrong = Destination(ae_title="HARMONY", port=storescp.port)
    with trio.fail_after(SECONDS), start(wrong) as pacs:
        pacs.load(one.file for one in made)
        text = HTTP + backend(
            "pacs",
            called(pacs),
            retrieve="move",
            receiver={"local_aet": "HARMONY", "port": port},
            timeouts={"move_seconds": 3.0},
        )
        async with deployed(tmp_path / "harmony", text) as running:
            async with running.client(prefix="/dicom") as client:
                answer = await client.post("/get", json={"study_instance_uid": study})
    assert len(storescp.files()) == 4
    assert answer.status_code in (502, 504)
    assert f"AE title HARMONY, host {HERE}, port {port}" in answer.json()["detail"]


async def test_a_query_at_two_pacs_finds_what_either_has(start, dcmqrscp, made, tmp_path):
    """dcmqrscp twice, merged: each holds one study, and one both."""
    studies = sorted({one.study_uid for one in made})
    with trio.fail_after(SECONDS), start() as second:
        dcmqrscp.load(one.file for one in made)
        second.load(one.file for one in made if one.study_uid == studies[0])
        text = pipeline("both", ["scp"], ["one", "two"]) + 'strategy = "merge"\n'
        text += table("endpoints.scp", "dicom", local_aet="HARMONY", port=0)
        text += backend("one", called(dcmqrscp)) + backend("two", called(second))
        async with deployed(tmp_path / "harmony", text) as running:
            harmony = running.called("scp", "HARMONY")
            found = await findscu(harmony, STUDY_ROOT, of_study(""), folder=tmp_path / "found")
    assert found.status == 0
    assert sorted(str(row.StudyInstanceUID) for row in found.rows) == studies
