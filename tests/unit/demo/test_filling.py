"""A demo's folder is whole: the archive has every study, and what is to be sent lies beside it."""

import errno

import pytest
from pydicom import dcmread

from harmony.archive.folder import Folder
from harmony.archive.objects import Objects
from harmony.archive.upkeep import verify
from harmony.demo.filling import NotFilled, fill
from harmony.demo.studies import STUDIES


@pytest.fixture
def filled(tmp_path):
    fill(tmp_path)
    return tmp_path


def test_every_instance_is_in_the_archive_and_unharmed(filled):
    archive = Folder.open(filled / "archive")
    try:
        report = verify(archive, lambda count: None)
    finally:
        archive.close()
    assert report.faults == ()
    assert report.good == sum(count for study in STUDIES for _, count in study.series)


def test_what_is_to_be_sent_lies_beside_it(filled):
    names = [dcmread(filled / name).PatientName for name in ("new-1.dcm", "new-2.dcm")]
    assert names == ["Demo^Sent", "Demo^Sent"]


def test_there_is_an_empty_place_for_what_is_fetched(filled):
    assert list((filled / "received").iterdir()) == []


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    def write(self, stream, chunk):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Objects, "write", write)
    with pytest.raises(NotFilled, match="cannot make the archive: the disk is full"):
        fill(tmp_path)
