"""Who may call and for what, as DCMTK's programs see it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from tests.support.dcmtk import STUDY_ROOT, echoscu, findscu, getscu, movescu, storescu
from tests.support.deployment import deployed, pipeline, table
from tests.support.studies import Plan, write_studies

pytestmark = pytest.mark.usefixtures("dcmtk")

SECONDS = 60
STUDY = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": ""}
NOT_AUTHORISED = 0x0124
REJECTED = "Rejected Permanent, Source: Service User"
UNKNOWN_CALLER = (REJECTED, "Calling AE Title Not Recognized")
UNKNOWN_CALLED = (REJECTED, "Called AE Title Not Recognized")
PEERS = """\
[peers.modality]
ae_titles = ["CT1"]
allow = ["echo", "store"]

[peers.viewer]
ae_titles = ["VIEWER"]
addresses = ["127.0.0.0/8"]
allow = ["echo", "find"]

[peers.elsewhere]
ae_titles = ["ELSEWHERE"]
addresses = ["192.0.2.0/24"]

[peers.other_name]
ae_titles = ["OTHER"]
called_ae_titles = ["SECOND"]
"""


def text(**options):
    return (
        PEERS
        + pipeline("pacs", ["scp"], ["store"])
        + table("endpoints.scp", "dicom", local_aet="HARMONY", port=0, **options)
        + table("backends.store", "archive", folder="archive")
    )


ALL = ["modality", "viewer", "elsewhere", "other_name"]


@pytest.mark.parametrize(
    ("calling", "called", "rejection"),
    [
        ("CT1", "HARMONY", None),
        ("VIEWER", "HARMONY", None),
        ("OTHER", "SECOND", None),
        ("CT1", "WRONG", UNKNOWN_CALLED),
        ("OTHER", "HARMONY", UNKNOWN_CALLED),
        ("STRANGER", "HARMONY", UNKNOWN_CALLER),
        ("ct1", "HARMONY", UNKNOWN_CALLER),
        ("ELSEWHERE", "HARMONY", UNKNOWN_CALLER),
    ],
)
async def test_peers_are_known_by_title_address_and_whom_they_call(
    tmp_path, calling, called, rejection
):
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", text(peers=ALL)) as running:
            peer = running.called("scp", called, calling=calling)
            echoed = await echoscu(peer)
            found = await findscu(peer, STUDY_ROOT, STUDY, folder=tmp_path / "found")
    assert (echoed.rejection, found.rejection) == (rejection, rejection)
    assert (echoed.code == 0) == (found.code == 0) == (rejection is None)


async def test_a_peer_may_do_what_it_is_allowed_and_nothing_else(tmp_path):
    made = write_studies(Plan(size=16), tmp_path / "made")
    files = [one.file for one in made]
    keys = {**STUDY, "StudyInstanceUID": made[0].study_uid}
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", text(peers=ALL)) as running:
            modality = running.called("scp", "HARMONY", calling="CT1")
            viewer = replace(modality, calling="VIEWER")
            assert (await echoscu(modality)).code == 0
            assert (await storescu(viewer, files)).status == NOT_AUTHORISED
            assert (await storescu(modality, files)).status == 0
            found = await findscu(modality, STUDY_ROOT, keys, folder=tmp_path / "modality")
            assert (found.status, found.rows) == (NOT_AUTHORISED, [])
            found = await findscu(viewer, STUDY_ROOT, keys, folder=tmp_path / "viewer")
            assert (found.status, len(found.rows)) == (0, 1)
            got = await getscu(viewer, STUDY_ROOT, keys, folder=tmp_path / "got")
            assert (got.status, got.received) == (NOT_AUTHORISED, [])
            moved = await movescu(viewer, STUDY_ROOT, keys, destination="CT1")
            assert moved.status == NOT_AUTHORISED


async def test_without_peers_any_caller_of_this_machine_is_served_by_the_right_name(tmp_path):
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", text()) as running:
            assert (await echoscu(running.called("scp", "HARMONY", calling="ANYBODY"))).code == 0
            refused = await echoscu(running.called("scp", "WRONG", calling="ANYBODY"))
            assert (refused.code != 0, refused.rejection) == (True, UNKNOWN_CALLED)


async def test_any_called_title_may_be_allowed(tmp_path):
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", text(accept_any_called_aet=True)) as running:
            assert (await echoscu(running.called("scp", "WHATEVER"))).code == 0
