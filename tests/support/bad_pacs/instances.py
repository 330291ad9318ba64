"""SOP instances and identifiers as the bytes that go over the wire."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pydicom.dataset import Dataset, FileDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_file_meta_info
from pydicom.filewriter import write_dataset
from pydicom.uid import UID

IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One SOP instance; `data` is its data set without preamble and file meta."""

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    data: bytes = field(repr=False)


Row: TypeAlias = Dataset | bytes


def instance_from_file(path: Path) -> Instance:
    """Take the data set out of a DICOM file, byte for byte."""
    meta = read_file_meta_info(path)
    content = path.read_bytes()
    # PS3.10 7.1: preamble, DICM, then (0002,0000) with the length of the rest of the meta.
    (length,) = struct.unpack_from("<I", content, 132 + 8)
    return Instance(
        sop_class=str(meta.MediaStorageSOPClassUID),
        sop_instance=str(meta.MediaStorageSOPInstanceUID),
        transfer_syntax=str(meta.TransferSyntaxUID),
        data=content[132 + 12 + length :],
    )


def instance_from_dataset(dataset: FileDataset) -> Instance:
    """Encode a data set in the transfer syntax its file meta names."""
    transfer_syntax = str(dataset.file_meta.TransferSyntaxUID)
    return Instance(
        sop_class=str(dataset.SOPClassUID),
        sop_instance=str(dataset.SOPInstanceUID),
        transfer_syntax=transfer_syntax,
        data=encode_dataset(dataset, transfer_syntax),
    )


def encode_dataset(dataset: Dataset, transfer_syntax: str) -> bytes:
    """Encode a data set; not for deflated and compressed transfer syntaxes of native data."""
    syntax = UID(transfer_syntax)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax.is_implicit_VR
    buffer.is_little_endian = syntax.is_little_endian
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def encode_rows(rows: Sequence[Row], transfer_syntax: str) -> tuple[bytes, ...]:
    """Encode the answers of a find; bytes stay as they are."""
    return tuple(
        row if isinstance(row, bytes) else encode_dataset(row, transfer_syntax) for row in rows
    )


def failed_uid_list(uids: Sequence[str], transfer_syntax: str) -> bytes:
    """An identifier with just Failed SOP Instance UID List (0008,0058). PS3.4 C.4.2.1.4.2."""
    value = "\\".join(uids).encode()
    value += b"\0" * (len(value) % 2)
    order = ">" if transfer_syntax == BIG_ENDIAN else "<"
    if transfer_syntax == IMPLICIT:
        return struct.pack("<HHI", 0x0008, 0x0058, len(value)) + value
    return struct.pack(f"{order}HH2sH", 0x0008, 0x0058, b"UI", len(value)) + value
