"""One object on its way in: what is refused, and in which order what is not becomes durable."""

import errno
import hashlib

import pytest

from harmony.archive.arrivals import CANNOT_UNDERSTAND, MISMATCH, OUT_OF_RESOURCES, Arrival, Refused
from harmony.archive.objects import DiskFailed, Objects, SyncFailed
from harmony.dicom.part10 import Part10Reader
from harmony.dicom.uids import EXPLICIT_LITTLE_ENDIAN
from tests.support.archive import CT, TroubledDisk, data_set, files_below


@pytest.fixture
def disk():
    return TroubledDisk()


@pytest.fixture
def objects(tmp_path, disk):
    made = Objects(tmp_path, disk)
    made.prepare()
    disk.reset()
    return made


def arrival(objects, **changes):
    given = {
        "sop_class_uid": CT,
        "sop_instance_uid": "1.2.3.1.1",
        "transfer_syntax": EXPLICIT_LITTLE_ENDIAN,
        "max_bytes": 100_000,
        "reserve_bytes": 0,
    }
    return Arrival(objects, **{**given, **changes})


def test_a_file_is_durable_under_its_name_before_anybody_may_hear_of_it(objects, disk, tmp_path):
    data = data_set()
    coming = arrival(objects)
    coming.write([data[:50], data[50:]])
    entry = coming.finish()
    assert [name for name, _ in disk.steps] == [
        "create",
        "write",  # the head
        "write",
        "write",
        "sync",
        "link",
    ]
    assert (entry.size, entry.sha256) == (len(data), hashlib.sha256(data).digest())
    whole = objects.path(entry.file).read_bytes()
    assert whole[entry.head_bytes :] == data
    reader = Part10Reader()
    assert reader.feed(whole) == [data]
    assert reader.meta.transfer_syntax == EXPLICIT_LITTLE_ENDIAN
    assert [path.stem for path in files_below(tmp_path, "incoming")] == [entry.file]


@pytest.mark.parametrize(
    ("changes", "data", "status"),
    [
        ({"sop_class_uid": "../../etc"}, data_set(), MISMATCH),
        ({"sop_instance_uid": "x" * 65}, data_set(), MISMATCH),
        ({"transfer_syntax": ""}, data_set(), MISMATCH),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}, data_set(), MISMATCH),
        ({"sop_instance_uid": "1.2.3.1.2"}, data_set(), MISMATCH),
        ({}, data_set(SOPClassUID=None), MISMATCH),
        ({}, data_set(SOPInstanceUID=None), MISMATCH),
        ({}, data_set(StudyInstanceUID=None), MISMATCH),
        ({}, data_set(SeriesInstanceUID=""), MISMATCH),
        ({}, b"", MISMATCH),
        ({}, b"\xff" * 100, CANNOT_UNDERSTAND),
        ({}, data_set()[:-1], CANNOT_UNDERSTAND),
        ({"max_bytes": 10}, data_set(), OUT_OF_RESOURCES),
        ({"reserve_bytes": 1 << 62}, data_set(), OUT_OF_RESOURCES),
    ],
)
def test_what_is_refused_leaves_nothing(objects, tmp_path, changes, data, status):
    coming = arrival(objects, **changes)
    with pytest.raises(Refused) as caught:
        coming.write([data])
        coming.finish()
    coming.discard()
    assert caught.value.status == status
    assert not files_below(tmp_path, "incoming")
    assert not objects.any_file()


@pytest.mark.parametrize("step", ["create", "free_bytes", "write", "link"])
@pytest.mark.parametrize(
    ("number", "expected"), [(errno.ENOSPC, Refused), (errno.EDQUOT, Refused), (5, DiskFailed)]
)
def test_a_full_disk_refuses_and_a_broken_one_fails(
    objects, disk, tmp_path, step, number, expected
):
    disk.failing, disk.failure = (step,), lambda: OSError(number, "as a test wants it")
    coming = arrival(objects)
    with pytest.raises(expected):
        coming.write([data_set()])
        coming.finish()
    disk.failing = ()
    coming.discard()
    assert not files_below(tmp_path, "incoming")
    assert not objects.any_file()


def test_a_sync_that_failed_for_want_of_room_is_still_not_known_to_have_worked(objects, disk):
    disk.failing, disk.failure = ("sync",), lambda: OSError(errno.ENOSPC, "no space")
    coming = arrival(objects)
    coming.write([data_set()])
    with pytest.raises(SyncFailed):
        coming.finish()
    disk.failing = ()
    coming.discard()


def test_an_arrival_that_never_began_has_nothing_to_discard(objects, disk):
    arrival(objects).discard()
    assert disk.steps == []
