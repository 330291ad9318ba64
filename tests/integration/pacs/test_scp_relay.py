"""storescu -> Harmony -> storescp: what arrives is, byte for byte, what was sent."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
import trio
from pydicom import dcmread
from pydicom.uid import UID

from tests.support.dcmtk import STUDY_ROOT, Called, getscu, storescu
from tests.support.deployment import backend, deployed, pipeline, table
from tests.support.files import contents
from tests.support.studies import Kind, Plan, write_studies

pytestmark = pytest.mark.usefixtures("dcmtk")

SECONDS = 60
HERE = "127.0.0.1"
WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"
# A file of pydicom's wheel, storescu's option that proposes its transfer syntax, and that.
COMPRESSED = {
    "SC_rgb_small_odd_jpeg.dcm": ("--propose-jpeg8", "1.2.840.10008.1.2.4.50"),
    "JPGExtended.dcm": ("--propose-jpeg12", "1.2.840.10008.1.2.4.51"),
    "SC_rgb_jpeg_gdcm.dcm": ("--propose-lossless", "1.2.840.10008.1.2.4.70"),
    "MR_small_jpeg_ls_lossless.dcm": ("--propose-jls-lossless", "1.2.840.10008.1.2.4.80"),
    "MR_small_jp2klossless.dcm": ("--propose-j2k-lossless", "1.2.840.10008.1.2.4.90"),
    "JPEG2000.dcm": ("--propose-j2k-lossy", "1.2.840.10008.1.2.4.91"),
    "MR_small_RLE.dcm": ("--propose-rle", "1.2.840.10008.1.2.5"),
    "MR_small_bigendian.dcm": ("--propose-big", "1.2.840.10008.1.2.2"),
}


def relay(storescp, **options):
    called = Called(host=HERE, port=storescp.port, aet=storescp.ae_title)
    return (
        pipeline("relay", ["scp"], ["sink"])
        + table("endpoints.scp", "dicom", local_aet="HARMONY", port=0, **options)
        + backend("sink", called)
    )


def taken(storescp):
    """What has arrived, by UID; the folder is empty again."""
    found = {}
    for file in storescp.files():
        read = contents(file.read_bytes())
        found[read.sop_instance_uid] = read
        file.unlink()
    return found


@pytest.mark.parametrize("name", COMPRESSED)
async def test_compressed_objects_pass_untouched(storescp, tmp_path, name):
    option, syntax = COMPRESSED[name]
    direct = Called(host=HERE, port=storescp.port, aet=storescp.ae_title)
    with trio.fail_after(SECONDS):
        # storescu writes lengths of sequences anew, so compare with what it sends by itself.
        assert (await storescu(direct, [WHEEL / name], option)).statuses == [0]
        wanted = taken(storescp)
        async with deployed(tmp_path / "h", relay(storescp)) as running:
            sent = await storescu(running.called("scp", "HARMONY"), [WHEEL / name], option)
            assert (sent.code, sent.statuses) == (0, [0])
    assert [file.transfer_syntax for file in wanted.values()] == [syntax]
    assert taken(storescp) == wanted


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "rle"])
async def test_many_objects_of_one_association_pass_untouched(storescp, tmp_path, syntax):
    plan = Plan(studies=2, instances=10, size=64, transfer_syntax=syntax, private=True)
    made = write_studies(plan, tmp_path / "made")
    option = {
        "explicit": "--propose-uncompr",
        "implicit": "--propose-implicit",
        "rle": "--propose-rle",
    }[syntax]
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", relay(storescp)) as running:
            sent = await storescu(
                running.called("scp", "HARMONY"), [one.file for one in made], option
            )
            assert sent.statuses == [0] * len(made)
    assert taken(storescp) == {one.sop_uid: contents(one.file.read_bytes()) for one in made}


async def test_objects_of_many_kinds_pass_on_one_association(storescp, tmp_path):
    plan = Plan(studies=len(Kind), kinds=tuple(Kind), instances=2, size=32)
    made = write_studies(plan, tmp_path / "made")
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", relay(storescp)) as running:
            sent = await storescu(running.called("scp", "HARMONY"), [one.file for one in made])
            assert sent.statuses == [0] * len(made)
    assert taken(storescp) == {one.sop_uid: contents(one.file.read_bytes()) for one in made}


async def test_an_object_larger_than_memory_is_allowed_passes_by_way_of_a_file(storescp, tmp_path):
    made = write_studies(Plan(instances=3, size=512), tmp_path / "made")
    text = relay(storescp, memory_object_bytes=4096)
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", text) as running:
            sent = await storescu(running.called("scp", "HARMONY"), [one.file for one in made])
            assert sent.statuses == [0] * len(made)
    assert taken(storescp) == {one.sop_uid: contents(one.file.read_bytes()) for one in made}
    assert [file.name for file in (tmp_path / "h").iterdir()] == ["config.toml"]


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "SC_rgb_small_odd_jpeg.dcm"])
async def test_an_archive_gives_compressed_objects_as_it_got_them(storescp, tmp_path, name):
    option, syntax = COMPRESSED[name]
    prefer = option.replace("--propose", "--prefer")
    direct = Called(host=HERE, port=storescp.port, aet=storescp.ae_title)
    text = (
        pipeline("pacs", ["scp"], ["store"])
        + table("endpoints.scp", "dicom", local_aet="HARMONY", port=0)
        + table("backends.store", "archive", folder="archive")
    )
    uid = str(dcmread(WHEEL / name, stop_before_pixels=True).StudyInstanceUID)
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": uid}
    with trio.fail_after(SECONDS):
        await storescu(direct, [WHEEL / name], option)
        (wanted,) = taken(storescp).values()
        async with deployed(tmp_path / "h", text) as running:
            harmony = running.called("scp", "HARMONY")
            assert (await storescu(harmony, [WHEEL / name], option)).statuses == [0]
            got = await getscu(harmony, STUDY_ROOT, keys, prefer, folder=tmp_path / "got")
    assert UID(wanted.transfer_syntax) == syntax
    assert list(got.received) == [wanted]
