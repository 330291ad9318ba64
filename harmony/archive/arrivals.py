"""One object on its way in, up to the moment before the index takes it in."""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from harmony.archive.heads import read_head
from harmony.archive.objects import DiskFailed, Objects, new_id
from harmony.dicom.elements import Malformed
from harmony.dicom.part10 import file_head
from harmony.dicom.query import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from harmony.dicom.uids import is_uid

# PS3.4 B.2.3 and PS3.7 annex C
SUCCESS: Final = 0x0000
DUPLICATE: Final = 0x0111
OUT_OF_RESOURCES: Final = 0xA700
MISMATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000
COERCED: Final = 0xB000

_SOP_CLASS_UID = 0x00080016
_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


class Refused(Exception):
    """This object cannot be stored. The text quotes nothing of it."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An object that is durable, and what the index is to know of it.

    Attributes:
        head_bytes: what stands before the data set in the file.
        size: of the data set.
        sha256: of the data set.
        values: what `heads.read_head` gives.
    """

    file: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    head_bytes: int
    size: int
    sha256: bytes
    values: Mapping[int, str] = field(repr=False)


class Arrival:
    """Writes one object. Blocks; one thread at a time. Must be finished or discarded."""

    def __init__(
        self,
        objects: Objects,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax: str,
        max_bytes: int,
        reserve_bytes: int,
    ) -> None:
        self._objects = objects
        self._class = sop_class_uid
        self._instance = sop_instance_uid
        self._syntax = transfer_syntax
        self._max_bytes = max_bytes
        self._reserve_bytes = reserve_bytes
        self._file = new_id()
        self._stream: BinaryIO | None = None
        self._head = b""
        self._size = 0
        self._hash = hashlib.sha256()

    def write(self, chunks: Sequence[bytes]) -> None:
        """Take more of the data set.

        Raises:
            Refused: it is too large, there is no room, or its identity is none.
            DiskFailed: the disk failed.
        """
        stream = self._stream or self._begin()
        more = sum(map(len, chunks))
        if self._size + more > self._max_bytes:
            raise Refused(OUT_OF_RESOURCES, f"it has more than {self._max_bytes} bytes")
        try:
            if self._objects.free_bytes() - more < self._reserve_bytes:
                raise Refused(OUT_OF_RESOURCES, "the disk has no room beyond its reserve")
            for chunk in chunks:
                self._objects.write(stream, chunk)
        except OSError as exc:
            raise _failure(exc) from exc
        for chunk in chunks:
            self._hash.update(chunk)
        self._size += more

    def finish(self) -> Entry:
        """Make the file durable, and give it its name in the archive.

        Raises:
            Refused: it is not what it is said to be, or there is no room.
            DiskFailed: the disk failed; `SyncFailed` if it is not known how far.
        """
        stream = self._stream or self._begin()
        try:
            stream.flush()
            values = self._checked(stream)
            self._objects.sync(stream)
            stream.close()
            self._objects.publish(self._file)
        except OSError as exc:
            raise _failure(exc) from exc
        return Entry(
            file=self._file,
            sop_class_uid=self._class,
            sop_instance_uid=self._instance,
            transfer_syntax=self._syntax,
            head_bytes=len(self._head),
            size=self._size,
            sha256=self._hash.digest(),
            values=values,
        )

    def discard(self) -> None:
        """Leave nothing. May be called at any time before the commit."""
        if self._stream is not None:
            with contextlib.suppress(OSError):  # what is not written yet need not be
                self._stream.close()
            with contextlib.suppress(OSError):  # the next recovery tries again
                self._objects.discard(self._file)

    def _begin(self) -> BinaryIO:
        for uid in (self._class, self._instance, self._syntax):
            if not is_uid(uid):
                raise Refused(MISMATCH, "its SOP class, instance or transfer syntax is no UID")
        self._head = file_head(
            sop_class_uid=self._class,
            sop_instance_uid=self._instance,
            transfer_syntax=self._syntax,
        )
        try:
            self._stream = self._objects.create(self._file)
            self._objects.write(self._stream, self._head)
        except OSError as exc:
            raise _failure(exc) from exc
        return self._stream

    def _checked(self, stream: BinaryIO) -> Mapping[int, str]:
        try:
            values = read_head(stream, len(self._head), self._size, self._syntax)
        except Malformed as exc:
            raise Refused(CANNOT_UNDERSTAND, f"its data set cannot be read: {exc}") from None
        check_identity(values, self._class, self._instance)
        return values


def check_identity(values: Mapping[int, str], sop_class_uid: str, sop_instance_uid: str) -> None:
    """PS3.4 B.2.2: the UIDs of the command are those of the data set.

    Raises:
        Refused: they differ, or a UID of its study or series is missing.
    """
    if values.get(_SOP_CLASS_UID) != sop_class_uid:
        raise Refused(MISMATCH, "SOP Class UID (0008,0016) is another than announced")
    if values.get(SOP_INSTANCE_UID) != sop_instance_uid:
        raise Refused(MISMATCH, "SOP Instance UID (0008,0018) is another than announced")
    if not is_uid(values.get(STUDY_INSTANCE_UID, "")):
        raise Refused(MISMATCH, "Study Instance UID (0020,000D) is missing or no UID")
    if not is_uid(values.get(SERIES_INSTANCE_UID, "")):
        raise Refused(MISMATCH, "Series Instance UID (0020,000E) is missing or no UID")


def _failure(exc: OSError) -> Refused | DiskFailed:
    """A full disk is nobody's fault and passes; any other failure is the disk's."""
    if exc.errno in _NO_ROOM:
        return Refused(OUT_OF_RESOURCES, "the disk is full")
    return DiskFailed(exc.strerror)
