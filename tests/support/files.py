"""DICOM files as tests compare them, taken apart without Harmony's own code."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO

import httpx2
from pydicom import dcmread

_META = 132  # behind preamble and DICM. PS3.10 7.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is the same in two files of the same instance.

    Attributes:
        data_set: the encoded data set, without the head of the file.
    """

    sop_instance_uid: str
    transfer_syntax: str
    data_set: bytes
    pixel_sha256: str | None


def contents(file: bytes) -> Contents:
    """Take a file apart; its file meta information must begin with its right length."""
    read = dcmread(BytesIO(file))
    length = int.from_bytes(file[_META + 8 : _META + 12], "little")
    pixels = read.get("PixelData")
    return Contents(
        sop_instance_uid=str(read.SOPInstanceUID),
        transfer_syntax=str(read.file_meta.TransferSyntaxUID),
        data_set=file[_META + 12 + length :],
        pixel_sha256=None if pixels is None else hashlib.sha256(pixels).hexdigest(),
    )


def parts(answer: httpx2.Response) -> list[tuple[str, bytes]]:
    """Head and body of each part of a multipart answer that is whole. RFC 2046 5.1.1."""
    kind = answer.headers["content-type"]
    assert kind.startswith('multipart/related; type="application/dicom"; boundary=')
    return split(answer.content, kind.rpartition("boundary=")[2].encode())


def split(body: bytes, boundary: bytes) -> list[tuple[str, bytes]]:
    """Head and body of each part."""
    before, *found, after = (b"\r\n" + body).split(b"\r\n--" + boundary)
    assert (before, after) == (b"", b"--\r\n"), "the closing boundary is missing"
    cut = (part.partition(b"\r\n\r\n") for part in found)
    return [(head.decode("ascii"), data) for head, _, data in cut]


def multipart(files: list[bytes]) -> tuple[str, bytes]:
    """Content type and body that send these files in one request."""
    head = b"--frontier\r\nContent-Type: application/dicom\r\n\r\n"
    body = b"".join(head + file + b"\r\n" for file in files) + b"--frontier--\r\n"
    return 'multipart/related; type="application/dicom"; boundary=frontier', body
