"""DICOM files in pieces: the head of one we write, and the head of one we read. PS3.10 7.1."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from harmony.dicom.elements import LONG_VRS
from harmony.dicom.uids import is_uid
from harmony.errors import RequestError

IMPLEMENTATION_CLASS_UID = "2.25.158105429731871904372618850143215417206"
IMPLEMENTATION_VERSION_NAME = "HARMONY_0_1"

MAX_META_BYTES = 64 * 1024
PREAMBLE_BYTES = 128
_PREFIX = b"DICM"
_START = PREAMBLE_BYTES + len(_PREFIX)
_SHORT = struct.Struct("<HH2sH")
_LONG = struct.Struct("<HH2sHL")
_LONG_VRS = frozenset(vr.encode() for vr in LONG_VRS)
_GROUP_LENGTH, _VERSION, _CLASS, _INSTANCE, _SYNTAX, _IMPLEMENTATION, _VERSION_NAME = (
    0x0000,
    0x0001,
    0x0002,
    0x0003,
    0x0010,
    0x0012,
    0x0013,
)


class NotAFile(RequestError):
    """What was sent as a DICOM file is none."""

    default_code = "unreadable-instance"


def file_head(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax: str) -> bytes:
    """Everything before the data set: an empty preamble, DICM, file meta information."""
    meta = b"".join(
        (
            _LONG.pack(0x0002, _VERSION, b"OB", 0, 2) + b"\x00\x01",
            _uid(_CLASS, sop_class_uid),
            _uid(_INSTANCE, sop_instance_uid),
            _uid(_SYNTAX, transfer_syntax),
            _uid(_IMPLEMENTATION, IMPLEMENTATION_CLASS_UID),
            _text(_VERSION_NAME, b"SH", IMPLEMENTATION_VERSION_NAME, b" "),
        )
    )
    length = _SHORT.pack(0x0002, _GROUP_LENGTH, b"UL", 4) + struct.pack("<L", len(meta))
    return bytes(PREAMBLE_BYTES) + _PREFIX + length + meta


def _uid(element: int, uid: str) -> bytes:
    return _text(element, b"UI", uid, b"\0")


def _text(element: int, vr: bytes, text: str, pad: bytes) -> bytes:
    value = text.encode("ascii")
    value += pad * (len(value) % 2)
    return _SHORT.pack(0x0002, element, vr, len(value)) + value


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeta:
    """What the file meta information says of the data set."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str


class Part10Reader:
    """Separates the head of a file from its data set.

    Attributes:
        meta: None until the head is whole.
    """

    def __init__(self) -> None:
        self.meta: FileMeta | None = None
        self._head = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take more of the file; gives what of it is data set.

        Raises:
            NotAFile: or its head is unusable.
        """
        if self.meta is not None:
            return [data] if data else []
        self._head += data
        end = self._find_end()
        if end is None:
            return []
        rest = bytes(self._head[end:])
        self._head.clear()
        return [rest] if rest else []

    def _find_end(self) -> int | None:
        """Where the data set begins, and `meta` with it; None if more bytes are needed.

        The group length may be wrong, so the end is where another group begins.
        """
        head = self._head
        if len(head) < _START:
            return None
        if head[PREAMBLE_BYTES:_START] != _PREFIX:
            raise _bad("no DICM behind the preamble")
        values: dict[int, bytes] = {}
        offset = _START
        while True:
            if len(head) < offset + 2:
                return None
            if head[offset : offset + 2] != b"\x02\x00":
                self.meta = _meta(values)
                return offset
            if len(head) < offset + _LONG.size:
                return None
            _, element, vr, length = _SHORT.unpack_from(head, offset)
            offset += _SHORT.size
            if vr in _LONG_VRS:
                (length,) = struct.unpack_from("<L", head, offset)
                offset += 4
            elif not vr.isalpha():
                raise _bad("the file meta information is not in Explicit VR Little Endian")
            if offset + length > _START + MAX_META_BYTES:
                raise _bad(f"more than {MAX_META_BYTES} bytes of file meta information")
            if len(head) < offset + length:
                return None
            values[element] = bytes(head[offset : offset + length])
            offset += length


def _meta(values: dict[int, bytes]) -> FileMeta:
    return FileMeta(
        sop_class_uid=_uid_of(values, _CLASS, "Media Storage SOP Class UID"),
        sop_instance_uid=_uid_of(values, _INSTANCE, "Media Storage SOP Instance UID"),
        transfer_syntax=_uid_of(values, _SYNTAX, "Transfer Syntax UID"),
    )


def _uid_of(values: dict[int, bytes], element: int, name: str) -> str:
    text = values.get(element, b"").rstrip(b"\0 ").decode("latin-1")
    if not is_uid(text):
        raise _bad(f"{name} (0002,{element:04X}) is missing or no UID")
    return text


def _bad(why: str) -> NotAFile:
    return NotAFile(
        f"this is not a DICOM file: {why}",
        hint="send PS3.10 files: preamble, DICM, file meta information, data set",
    )
