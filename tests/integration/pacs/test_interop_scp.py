"""An endpoint of Harmony's before real callers with their many options: DCMTK's and pynetdicom's.

Behind it is an archive of its own, and storescp as the destination of C-MOVE. What Orthanc and
dcmqrscp do as callers is in `test_scp_orthanc` and `test_scp_dcmqrscp`.
"""

from __future__ import annotations

import contextlib

import pytest
import trio
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import build_context

from harmony.dimse.engines import Engine
from harmony.dimse.storage import known_storage_classes, known_transfer_syntaxes
from tests.support.bad_pacs import instance_from_file
from tests.support.dcmtk import (
    PATIENT_ROOT,
    STUDY_ROOT,
    Called,
    echoscu,
    findscu,
    getscu,
    movescu,
    storescu,
)
from tests.support.deployment import backend, deployed, pipeline, table
from tests.support.plain_pynetdicom import as_scp, plain_scu, received, send_files
from tests.support.studies import Kind, Plan, write_studies

pytestmark = pytest.mark.usefixtures("dcmtk")

SECONDS = 60
HERE = "127.0.0.1"
SUCCESS, PENDING, CANCELLED = 0x0000, 0xFF00, 0xFE00
VERIFICATION = "1.2.840.10008.1.1"
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
STUDIES = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "PatientName": ""}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Small objects of several classes, and one that fills many PDUs."""
    folder = tmp_path_factory.mktemp("made")
    kinds = (Kind.CT, Kind.SR, Kind.US, Kind.PDF)
    small = write_studies(Plan(studies=8, kinds=kinds, instances=2, size=16), folder / "small")
    return small + write_studies(Plan(size=512), folder / "large")


@pytest.fixture
def serving(storescp, tmp_path):
    """A running Harmony with an archive, which is filled with what is given."""

    @contextlib.asynccontextmanager
    async def serve(made=()):
        text = (
            pipeline("pacs", ["scp"], ["store"])
            + table(
                "endpoints.scp",
                "dicom",
                local_aet="HARMONY",
                port=0,
                engine=Engine.TRIO,
                move_destinations=["dest"],
            )
            + table("backends.store", "archive", folder="archive")
            + backend(
                "dest",
                Called(host=HERE, port=storescp.port, aet=storescp.ae_title),
                engine=Engine.TRIO,
            )
        )
        with trio.fail_after(SECONDS):
            async with deployed(tmp_path / "harmony", text) as running:
                called = running.called("scp", "HARMONY")
                if made:
                    done = await storescu(called, [one.file for one in made])
                    assert done.statuses == [SUCCESS] * len(made)
                yield called

    return serve


def of_study(one):
    return {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": one.study_uid}


def data_sets(made):
    return {one.sop_uid: instance_from_file(one.file).data for one in made}


def by_uid(files):
    return {each.sop_instance_uid: each.data_set for each in files}


# DCMTK


@pytest.mark.parametrize(
    "options",
    [
        ("--propose-ts", "38", "--propose-pc", "128"),
        ("--max-pdu", "4096"),
        ("--max-pdu", "131072", "--repeat", "50"),
        ("--abort",),
    ],
    ids=" ".join,
)
async def test_echoscu(serving, options):
    async with serving() as harmony:
        for _ in range(2):
            echoed = await echoscu(harmony, *options)
            assert echoed.code == 0, echoed.output
            assert "Received Echo Response (Success)" in echoed.output


@pytest.mark.parametrize(
    "options",
    [
        ("--max-pdu", "4096", "--max-send-pdu", "4096"),
        ("--max-pdu", "131072", "--max-send-pdu", "131072"),
        ("--max-send-pdu", "4098"),  # DCMTK cannot send by odd numbers
        ("--combine", "--propose-little"),
        ("--required", "--propose-big"),
        ("--required", "--propose-rle"),
        ("--propose-j2k-lossless",),
        ("--user", "somebody", "--password", "secret"),
        ("--user", "somebody"),
        ("--repeat", "3"),
    ],
    ids=" ".join,
)
async def test_storescu(serving, made, options, tmp_path):
    async with serving() as harmony:
        done = await storescu(harmony, [one.file for one in made], *options)
        assert done.code == 0, done.output[-2000:]
        assert set(done.statuses) == {SUCCESS}
        assert len(done.statuses) >= len(made)
        got: dict[str, bytes] = {}
        for number, one in enumerate({each.study_uid: each for each in made}.values()):
            folder = tmp_path / str(number)
            found = await getscu(harmony, STUDY_ROOT, of_study(one), folder=folder)
            got |= by_uid(found.received)
        assert got == data_sets(made)


async def test_storescu_that_aborts_leaves_its_objects_and_nothing_else(serving, made):
    async with serving() as harmony:
        done = await storescu(harmony, [one.file for one in made], "--abort")
        assert done.statuses == [SUCCESS] * len(made)
        assert (await echoscu(harmony)).code == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--max-pdu", "4096"),
        ("--max-pdu", "131072"),
        ("--propose-implicit",),
        ("--propose-little",),
        ("--propose-big",),
        ("--propose-deflated",),
        ("--repeat", "3"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("root", [STUDY_ROOT, PATIENT_ROOT])
async def test_findscu(serving, made, options, root, tmp_path):
    keys = STUDIES if root == STUDY_ROOT else {"QueryRetrieveLevel": "PATIENT", "PatientID": ""}
    wanted = {one.study_uid if root == STUDY_ROOT else one.patient_id for one in made}
    async with serving(made) as harmony:
        found = await findscu(harmony, root, keys, *options, folder=tmp_path / "found")
    assert found.status == SUCCESS, found.output[-2000:]
    of = "StudyInstanceUID" if root == STUDY_ROOT else "PatientID"
    assert {str(row[of].value) for row in found.rows} == wanted


async def test_findscu_that_cancels(serving, made, tmp_path):
    async with serving(made) as harmony:
        found = await findscu(
            harmony, STUDY_ROOT, STUDIES, "--cancel", "2", folder=tmp_path / "found"
        )
        # The answers may be on their way already when the C-CANCEL comes.
        assert found.status in (SUCCESS, CANCELLED), found.output[-2000:]
        whole = await findscu(harmony, STUDY_ROOT, STUDIES, folder=tmp_path / "whole")
        assert whole.status == SUCCESS
    assert len(whole.rows) == len({one.study_uid for one in made})


@pytest.mark.parametrize(
    "options",
    [("--max-pdu", "4096"), ("--max-pdu", "131072"), ("--prefer-little",)],
    ids=" ".join,
)
async def test_getscu(serving, made, options, tmp_path):
    large = made[-1]
    async with serving(made) as harmony:
        for number, one in enumerate((made[0], large)):
            folder = tmp_path / str(number)
            got = await getscu(harmony, STUDY_ROOT, of_study(one), *options, folder=folder)
            assert got.status == SUCCESS, got.output[-2000:]
            wanted = [each for each in made if each.study_uid == one.study_uid]
            assert by_uid(got.received) == data_sets(wanted)


@pytest.mark.parametrize("options", [("--max-pdu", "4096"), ("--max-pdu", "131072")], ids=" ".join)
async def test_movescu(serving, made, storescp, options):
    async with serving(made) as harmony:
        for one in (made[0], made[-1]):
            moved = await movescu(
                harmony, STUDY_ROOT, of_study(one), *options, destination=storescp.ae_title
            )
            assert moved.status == SUCCESS, moved.output[-2000:]
    arrived = {each.sop_instance: each.data for each in map(instance_from_file, storescp.files())}
    uids = {made[0].study_uid, made[-1].study_uid}
    assert arrived == data_sets([one for one in made if one.study_uid in uids])


# pynetdicom


def everything(called, made, destination, **settings):
    """Every service on one association; what came of each."""
    classes = {str(instance_from_file(one.file).sop_class) for one in made}
    contexts = [build_context(uid, [IMPLICIT, EXPLICIT]) for uid in (VERIFICATION, FIND, MOVE, GET)]
    contexts += [build_context(uid, EXPLICIT) for uid in classes]
    got, longest = {}, []

    def keep(event):
        one = received(event)
        got[one.sop_instance] = one.data
        return SUCCESS

    def measure(event):
        if event.data[0] == 4:
            longest.append(len(event.data) - 6)

    handlers = [
        (evt.EVT_C_STORE, keep),
        (evt.EVT_DATA_RECV, measure),
    ]
    items = [as_scp(uid) for uid in classes]
    for item in items:
        item.scu_role = True
    items += settings.pop("items", ())
    with plain_scu(
        called.host, called.port, contexts, handlers=handlers, items=items, **settings
    ) as association:
        assert association.is_established
        assert association.send_c_echo().Status == SUCCESS
        assert set(send_files(association, [one.file for one in made])) == {SUCCESS}
        studies = Dataset()
        studies.QueryRetrieveLevel, studies.StudyInstanceUID = "STUDY", ""
        *rows, (found, _) = association.send_c_find(studies, FIND)
        assert found.Status == SUCCESS
        for uid in {one.study_uid for one in made}:
            asked = Dataset()
            asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", uid
            *_, (answer, _) = association.send_c_get(asked, GET)
            assert answer.Status == SUCCESS
            *_, (answer, _) = association.send_c_move(asked, destination, MOVE)
            assert answer.Status == SUCCESS
        assert association.send_c_echo().Status == SUCCESS
        association.release()
        assert association.is_released
    return got, len(rows), max(longest)


@pytest.mark.parametrize("max_pdu", [0, 4096, 4097, 16383, 131072, 0xFFFFFFFF])
async def test_pynetdicom_is_served_everything_within_its_maximum_length(
    serving, made, storescp, max_pdu
):
    def talk(called):
        return everything(called, made, storescp.ae_title, max_pdu=max_pdu)

    async with serving() as harmony:
        got, rows, longest = await trio.to_thread.run_sync(talk, harmony)
    assert got == data_sets(made)
    assert rows == len({one.study_uid for one in made})
    assert longest <= (max_pdu or longest)
    arrived = {each.sop_instance: each.data for each in map(instance_from_file, storescp.files())}
    assert arrived == data_sets(made)


def user_identity(kind):
    item = UserIdentityNegotiation()
    item.user_identity_type = kind
    item.primary_field = b"somebody"
    item.secondary_field = b"secret" if kind == 2 else b""
    item.positive_response_requested = kind != 1
    return item


def asynchronous(invoked, performed):
    item = AsynchronousOperationsWindowNegotiation()
    item.maximum_number_operations_invoked = invoked
    item.maximum_number_operations_performed = performed
    return item


def extended():
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid = FIND
    item.service_class_application_information = b"\1\1\1\1\1"
    return item


def common_extended():
    item = SOPClassCommonExtendedNegotiation()
    item.sop_class_uid = "1.2.840.10008.5.1.4.1.1.2"
    item.service_class_uid = "1.2.840.10008.4.2"
    item.related_general_sop_class_identification = ["1.2.840.10008.5.1.4.1.1.7"]
    return item


@pytest.mark.parametrize(
    "items",
    [
        [user_identity(1)],
        [user_identity(2)],
        [user_identity(5)],
        [asynchronous(0, 0)],
        [asynchronous(9, 1)],
        [extended()],
        [common_extended()],
        [user_identity(2), asynchronous(9, 9), extended(), common_extended()],
    ],
    ids=["user", "password", "token", "no limit", "nine", "extended", "common", "all of them"],
)
async def test_pynetdicom_is_served_whatever_else_it_negotiates(serving, made, storescp, items):
    def talk(called):
        return everything(called, made[:2], storescp.ae_title, items=items)

    async with serving() as harmony:
        got, rows, _ = await trio.to_thread.run_sync(talk, harmony)
    assert (got, rows) == (data_sets(made[:2]), 1)


async def test_pynetdicom_proposes_128_contexts_with_every_syntax(serving):
    classes = sorted(known_storage_classes())[:127]
    contexts = [build_context(uid, sorted(known_transfer_syntaxes())) for uid in classes]
    contexts.append(build_context(VERIFICATION, IMPLICIT))

    def talk(called):
        with plain_scu(called.host, called.port, contexts) as association:
            return len(association.accepted_contexts), association.send_c_echo().Status

    async with serving() as harmony:
        accepted, status = await trio.to_thread.run_sync(talk, harmony)
    assert (accepted, status) == (128, SUCCESS)


async def test_pynetdicom_cancels_a_query_and_asks_again(serving, made):
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", ""

    def talk(called):
        with plain_scu(called.host, called.port, [build_context(FIND, EXPLICIT)]) as association:
            statuses: list[int] = []
            for status, _ in association.send_c_find(asked, FIND, msg_id=7):
                if not statuses:
                    association.send_c_cancel(7, query_model=FIND)
                statuses.append(status.Status)
            *_, (last, _) = association.send_c_find(asked, FIND, msg_id=8)
            return statuses, last.Status

    async with serving(made) as harmony:
        statuses, last = await trio.to_thread.run_sync(talk, harmony)
    assert statuses[-1] in (SUCCESS, CANCELLED)  # all answers may have been on their way
    assert set(statuses[:-1]) == {PENDING}
    assert last == SUCCESS
