"""What lies in a demo's folder beside its configuration."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom.dataset import FileDataset

from harmony.archive.arrivals import Entry, Refused
from harmony.archive.folder import CommitFailed, Folder
from harmony.archive.index import Unusable
from harmony.archive.objects import SyncFailed
from harmony.demo.configuration import ARCHIVE_FOLDER
from harmony.demo.hints import RECEIVED_FOLDER, TO_SEND_FILES
from harmony.demo.studies import STUDIES, TO_SEND, make_study
from harmony.dicom.part10 import Part10Reader

_MAX_BYTES: Final = 16 * 1024 * 1024  # far more than any instance of a demo has


class NotFilled(Exception):
    """The archive could not take the studies; the text says why."""


def fill(folder: Path) -> None:
    """Make the archive with its studies, the files to send, and a place for what is fetched.

    Blocks for a moment.

    Raises:
        NotFilled, OSError: the disk is full or fails.
    """
    try:
        _fill_archive(folder / ARCHIVE_FOLDER)
    except (Refused, CommitFailed, SyncFailed, Unusable) as exc:
        raise NotFilled(f"cannot make the archive: {str(exc) or 'the disk failed'}") from exc
    for name, study in zip(TO_SEND_FILES, TO_SEND, strict=True):
        for dataset in make_study(study):
            (folder / name).write_bytes(_encoded(dataset))
    (folder / RECEIVED_FOLDER).mkdir()


def _fill_archive(path: Path) -> None:
    archive = Folder.open(path)
    try:
        entries = [_arrive(archive, dataset) for study in STUDIES for dataset in make_study(study)]
        archive.commit(entries, "refuse")
    finally:
        archive.close()


def _arrive(archive: Folder, dataset: FileDataset) -> Entry:
    reader = Part10Reader()
    chunks = reader.feed(_encoded(dataset))
    assert reader.meta is not None
    arrival = archive.arrival(
        sop_class_uid=reader.meta.sop_class_uid,
        sop_instance_uid=reader.meta.sop_instance_uid,
        transfer_syntax=reader.meta.transfer_syntax,
        max_bytes=_MAX_BYTES,
        reserve_bytes=0,
    )
    try:
        arrival.write(chunks)
        return arrival.finish()
    except BaseException:
        arrival.discard()
        raise


def _encoded(dataset: FileDataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
