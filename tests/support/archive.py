"""Objects for archives, and a disk that records its steps and fails where a test wants it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from harmony.archive.arrivals import Entry
from harmony.archive.disk import RealDisk
from harmony.archive.folder import Folder
from harmony.archive.index import Decision, OnConflict
from harmony.dicom.uids import (
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
GIB = 1 << 30

_BASE: Mapping[str, object] = {
    "SOPClassUID": CT,
    "SOPInstanceUID": "1.2.3.1.1",
    "StudyInstanceUID": "1.2.3",
    "SeriesInstanceUID": "1.2.3.1",
    "PatientID": "P1",
    "PatientName": "Doe^Jane",
    "StudyDate": "20240131",
    "StudyTime": "103000",
    "Modality": "CT",
    "SeriesNumber": "1",
    "InstanceNumber": "1",
}


def data_set(transfer_syntax: str = EXPLICIT_LITTLE_ENDIAN, **changes: object) -> bytes:
    """An encoded data set: a small CT image with `changes`; None leaves an attribute out."""
    dataset = Dataset()
    for keyword, value in {**_BASE, **changes}.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return encoded(dataset, transfer_syntax)


def encoded(dataset: Dataset, transfer_syntax: str = EXPLICIT_LITTLE_ENDIAN) -> bytes:
    """As pydicom writes it."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = transfer_syntax == IMPLICIT_LITTLE_ENDIAN
    buffer.is_little_endian = transfer_syntax != EXPLICIT_BIG_ENDIAN
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def arrive(
    folder: Folder,
    data: bytes,
    *,
    uid: str = "1.2.3.1.1",
    sop_class: str = CT,
    transfer_syntax: str = EXPLICIT_LITTLE_ENDIAN,
) -> Entry:
    """Everything before the commit."""
    arrival = folder.arrival(
        sop_class_uid=sop_class,
        sop_instance_uid=uid,
        transfer_syntax=transfer_syntax,
        max_bytes=GIB,
        reserve_bytes=0,
    )
    try:
        arrival.write([data])
        return arrival.finish()
    except Exception:
        arrival.discard()
        raise


def store(
    folder: Folder,
    on_conflict: OnConflict = "refuse",
    transfer_syntax: str = EXPLICIT_LITTLE_ENDIAN,
    **changes: object,
) -> Decision:
    """Store a `data_set`."""
    entry = arrive(
        folder,
        data_set(transfer_syntax, **changes),
        uid=str(changes.get("SOPInstanceUID", _BASE["SOPInstanceUID"])),
        sop_class=str(changes.get("SOPClassUID", CT)),
        transfer_syntax=transfer_syntax,
    )
    return folder.commit([entry], on_conflict)[0]


def files_below(folder: Path, name: str) -> list[Path]:
    """Files of an archive in ``objects`` or ``incoming``."""
    return sorted(path for path in (folder / name).rglob("*") if path.is_file())


class Crash(BaseException):
    """The process dies here."""


class TroubledDisk(RealDisk):
    """Records each step by its name and, before the step number `at`, raises `failure`."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []
        self.at: int | None = None
        self.failing: Sequence[str] = ()
        self.failure: Callable[[], BaseException] = Crash
        self.free: int | None = None
        self._opened: list[BinaryIO] = []

    def close_files(self) -> None:
        """As the end of a process does."""
        for file in self._opened:
            file.close()

    def reset(self) -> None:
        self.steps.clear()

    def _step(self, name: str, where: str) -> None:
        if len(self.steps) == self.at or name in self.failing:
            raise self.failure()
        self.steps.append((name, where))

    def create(self, path: Path) -> BinaryIO:
        self._step("create", path.parent.name)
        self._opened.append(super().create(path))
        return self._opened[-1]

    def write(self, file: BinaryIO, data: bytes) -> None:
        self._step("write", str(len(data)))
        super().write(file, data)

    def sync(self, file: BinaryIO) -> None:
        self._step("sync", "file")
        super().sync(file)

    def link(self, source: Path, target: Path) -> None:
        self._step("link", target.parent.parent.name)
        super().link(source, target)

    def sync_folder(self, folder: Path) -> None:
        self._step("sync_folder", folder.parent.name)
        super().sync_folder(folder)

    def unlink(self, path: Path) -> None:
        self._step("unlink", path.parent.name)
        super().unlink(path)

    def free_bytes(self, folder: Path) -> int:
        if "free_bytes" in self.failing:
            raise self.failure()
        return super().free_bytes(folder) if self.free is None else self.free
