"""TLS on both sides of Harmony, with DCMTK and Orthanc at the other ends."""

from __future__ import annotations

import pytest
import trio

from tests.support.certificates import Authority, dcmtk_options
from tests.support.dcmtk import STUDY_ROOT, Called, echoscu, findscu, getscu, storescu
from tests.support.deployment import backend, deployed, pipeline, table
from tests.support.files import contents
from tests.support.pacs import ProcessPacs, available
from tests.support.storescp import storescp as storescp_running
from tests.support.studies import Plan, write_studies

pytestmark = pytest.mark.usefixtures("dcmtk", "engine")

SECONDS = 100
HERE = "127.0.0.1"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "tls")


@pytest.fixture
def tool(authority):
    """Options of a caller with a certificate."""
    return dcmtk_options(authority.issue("scu.test", name="scu"), authority.ca_file)


def server_tls(authority, **options):
    mine = authority.issue(HERE, name="harmony")
    return {"cert_file": mine.cert_file, "key_file": mine.key_file, **options}


def client_tls(authority):
    mine = authority.issue("harmony.test", name="harmony-scu")
    return {"ca_file": authority.ca_file, "cert_file": mine.cert_file, "key_file": mine.key_file}


def endpoint(tls):
    return table("endpoints.scp", "dicom", local_aet="HARMONY", port=0, tls=tls)


def archive(tls):
    return (
        pipeline("pacs", ["scp"], ["store"])
        + endpoint(tls)
        + table("backends.store", "archive", folder="archive")
    )


def sources(made):
    return {one.sop_uid: contents(one.file.read_bytes()) for one in made}


def by_uid(files):
    return {file.sop_instance_uid: file for file in files}


async def test_a_caller_with_a_certificate_echoes_stores_and_finds(authority, tool, tmp_path):
    made = write_studies(Plan(instances=3, size=64), tmp_path / "made")
    keys = {"QueryRetrieveLevel": "IMAGE", "SOPInstanceUID": ""}
    keys |= {"StudyInstanceUID": made[0].study_uid, "SeriesInstanceUID": made[0].series_uid}
    text = archive(server_tls(authority, ca_file=authority.ca_file))
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", text) as running:
            harmony = running.called("scp", "HARMONY")
            assert (await echoscu(harmony, *tool)).code == 0
            sent = await storescu(harmony, [one.file for one in made], *tool)
            assert sent.statuses == [0] * len(made)
            found = await findscu(harmony, STUDY_ROOT, keys, *tool, folder=tmp_path / "found")
    assert found.status == 0
    assert {str(row.SOPInstanceUID) for row in found.rows} == {one.sop_uid for one in made}


@pytest.mark.parametrize("client_certificate", ["required", "optional", "none"])
async def test_a_caller_without_a_certificate_is_served_unless_one_is_required(
    authority, tmp_path, client_certificate
):
    settings = {"client_certificate": client_certificate}
    if client_certificate != "none":
        settings["ca_file"] = authority.ca_file
    anonymous = ("--anonymous-tls", "--add-cert-file", authority.ca_file)
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", archive(server_tls(authority, **settings))) as running:
            told = await echoscu(running.called("scp", "HARMONY"), *anonymous)
    assert (told.code == 0) == (client_certificate != "required"), told.output


async def test_bad_callers_fail_and_the_next_proper_one_is_served(authority, tool, tmp_path):
    stranger = Authority(tmp_path / "stranger")
    unknown = dcmtk_options(stranger.issue("scu.test", name="scu"), authority.ca_file)
    text = archive(server_tls(authority, ca_file=authority.ca_file))
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", text) as running:
            harmony = running.called("scp", "HARMONY")
            for options in ((), unknown):  # plain DICOM; a certificate of somebody else's
                assert (await echoscu(harmony, *options)).code != 0
                assert (await echoscu(harmony, *tool)).code == 0


async def test_a_caller_that_speaks_tls_to_a_plain_port_fails_and_the_next_is_served(
    tool, tmp_path
):
    text = (
        pipeline("pacs", ["scp"], ["store"])
        + table("endpoints.scp", "dicom", local_aet="HARMONY", port=0)
        + table("backends.store", "archive", folder="archive")
    )
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", text) as running:
            harmony = running.called("scp", "HARMONY")
            assert (await echoscu(harmony, *tool)).code != 0
            assert (await echoscu(harmony)).code == 0


async def test_what_comes_by_tls_goes_on_by_tls_to_storescp(authority, tool, tmp_path):
    made = write_studies(Plan(instances=5, size=64), tmp_path / "made")
    server = dcmtk_options(authority.issue(HERE, name="storescp"), authority.ca_file)
    with trio.fail_after(SECONDS), storescp_running(tmp_path / "sink", tls=server) as sink:
        called = Called(host=HERE, port=sink.port, aet=sink.ae_title)
        text = (
            pipeline("relay", ["scp"], ["sink"])
            + endpoint(server_tls(authority, ca_file=authority.ca_file))
            + backend("sink", called, tls=client_tls(authority))
        )
        async with deployed(tmp_path / "h", text) as running:
            harmony = running.called("scp", "HARMONY")
            sent = await storescu(harmony, [one.file for one in made], *tool)
            assert sent.statuses == [0] * len(made)
        assert by_uid(contents(file.read_bytes()) for file in sink.files()) == sources(made)


@pytest.fixture
def orthanc(tmp_path, request):
    """Orthanc that speaks TLS only, and asks callers for a certificate."""
    if "process" not in available():
        request.getfixturevalue("pacs")  # which says how to get it
        pytest.skip("an Orthanc of this machine is needed")
    with ProcessPacs(tmp_path / "orthanc", tls=True, client_certificate=True) as running:
        yield running


async def test_what_comes_by_tls_goes_on_by_tls_to_orthanc_and_what_is_plain_comes_back(
    orthanc, authority, tool, tmp_path
):
    made = write_studies(Plan(instances=5, size=64), tmp_path / "made")
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": made[0].study_uid}
    files = tmp_path / "orthanc" / "tls"
    known = {
        "ca_file": files / "ca.crt",
        "cert_file": files / "harmony.crt",
        "key_file": files / "harmony.key",
    }
    called = Called(host=orthanc.host, port=orthanc.port, aet=orthanc.ae_title)
    text = (
        pipeline("relay", ["scp", "inside"], ["pacs"])
        + endpoint(server_tls(authority, ca_file=authority.ca_file))
        + table("endpoints.inside", "dicom", local_aet="INSIDE", port=0)  # getscu knows no TLS
        + backend("pacs", called, tls=known)
    )
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", text) as running:
            harmony = running.called("scp", "HARMONY")
            sent = await storescu(harmony, [one.file for one in made], *tool)
            assert sent.statuses == [0] * len(made)
            inside = running.called("inside", "INSIDE")
            got = await getscu(inside, STUDY_ROOT, keys, folder=tmp_path / "got")
    assert got.counters == (len(made), 0, 0)
    assert by_uid(got.received) == sources(made)
