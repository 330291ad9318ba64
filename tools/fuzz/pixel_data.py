"""Pixel data, bulk data and documents: what is read of an instance to be shown."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence

from harmony.dicom.bulk import bulk_value, parse_path, path_text
from harmony.dicom.elements import Malformed
from harmony.dicom.encapsulated_document import document_in
from harmony.dicom.located import Located
from harmony.dicom.pixels import PIXEL_DATA, PixelIndex
from harmony.errors import RequestError
from tests.support.bad_caller.data_sets import bad_data_set, random_data_set
from tests.support.bad_caller.mutation import mutate
from tests.support.pixel_sets import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    RLE,
    Table,
    element,
    encapsulated,
    native,
)
from tools.fuzz.surface import Surface, Wrong, is_plain

_DEFLATED, _BARE = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.1.98"
_VIDEO = "1.2.840.10008.1.2.4.102"
_PLAIN = (IMPLICIT, EXPLICIT, BIG_ENDIAN)
_COMPRESSED = (JPEG, RLE, _BARE, _VIDEO)
_MARKERS = (b"\xff\xd8\xff\xe0", b"\xff\x4f\xff\x51", b"\xff\xd9", b"\xff\xd9\0", b"")
_DOCUMENT, _MIME_TYPE, _LENGTH = 0x00420011, 0x00420012, 0x00420015
_PATHS: Sequence[tuple[int, ...]] = (
    (PIXEL_DATA,),
    (_DOCUMENT,),
    (0x00081140, 0, PIXEL_DATA),
    (0x00400260, 1, 0x0040A160),
    (0x00091001, 0, 0x00280010),
)
_MOST_FRAMES = 8


def _native(rng: random.Random) -> tuple[str, bytes]:
    syntax = rng.choice(_PLAIN)
    value = rng.randbytes(rng.randint(0, 60))
    data = native(
        value,
        syntax,
        rows=rng.choice((0, 1, 3, 5, 0xFFFF)),
        columns=rng.choice((1, 2, 7)),
        bits=rng.choice((0, 1, 8, 12, 16, 32, 0xFFFF)),
        samples=rng.choice((0, 1, 3)),
        frames=rng.choice((None, 0, 1, 2, 5, 10**9)),
        vr=rng.choice(("OB", "OW", "UN")),
        photometric=rng.choice(("RGB", "YBR_FULL_422", "")),
    )
    return syntax, data


def _encapsulated(rng: random.Random) -> tuple[str, bytes]:
    frames = [
        [rng.choice(_MARKERS) + rng.randbytes(rng.randint(0, 9)) + rng.choice(_MARKERS)]
        * rng.choice((1, 1, 2))
        for _ in range(rng.randint(0, 4))
    ]
    wrong = [rng.choice((0, 8, 10, 17, 2**31)) for _ in frames]
    data = encapsulated(
        frames,
        table=rng.choice(tuple(Table)),
        number_of_frames=rng.choice((None, None, 0, 1, 3, 10**9)),
        basic=rng.choice((None, None, wrong)),
        offsets=rng.choice((None, None, wrong)),
        lengths=rng.choice((None, None, wrong)),
    )
    return rng.choice(_COMPRESSED), data


def _document(rng: random.Random) -> tuple[str, bytes]:
    syntax = rng.choice(_PLAIN)
    data = element(_DOCUMENT, "OB", rng.randbytes(2 * rng.randint(0, 20)), syntax)
    data += element(_MIME_TYPE, "LO", rng.choice((b"text/xml", b"a/b\r\nc: d", b"\xff/")), syntax)
    return syntax, data + element(_LENGTH, "UL", rng.randbytes(rng.choice((0, 2, 4))), syntax)


def _nested(rng: random.Random) -> tuple[str, bytes]:
    syntax = rng.choice(_PLAIN)
    return syntax, bad_data_set(rng, syntax)


_MAKERS: Sequence[Callable[[random.Random], tuple[str, bytes]]] = (
    _native,
    _encapsulated,
    _encapsulated,
    _document,
    _nested,
)


def _make(rng: random.Random) -> tuple[str, bytes]:
    syntax, data = rng.choice(_MAKERS)(rng)
    if rng.random() < 0.3:
        data = random_data_set(rng, syntax if syntax in _PLAIN else EXPLICIT) + data
    if rng.random() < 0.6:
        data = mutate(rng, data)
    if rng.random() < 0.1:
        syntax, deflater = _DEFLATED, zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = deflater.compress(data) + deflater.flush()
    return syntax, data


def _check(syntax: str, data: bytes) -> None:
    for read in (_read_frames, _read_document, *(_reader_of(path) for path in _PATHS)):
        try:
            read(syntax, data)
        except (Malformed, RequestError) as exc:
            is_plain(str(exc))


def _read_frames(syntax: str, data: bytes) -> None:
    index = PixelIndex.of(data, syntax)
    most = min(index.number_of_frames, _MOST_FRAMES)
    for number in (*range(1, most + 1), index.number_of_frames):
        place = index.place(number)
        _is_whole(place, index.frame(data, number), data)


def _read_document(syntax: str, data: bytes) -> None:
    found = document_in(data, syntax)
    if found is not None:
        is_plain(found.media_type)
        _is_whole(found.place, found.place.read(data), data)


def _reader_of(path: tuple[int, ...]) -> Callable[[str, bytes], None]:
    def read(syntax: str, data: bytes) -> None:
        place = bulk_value(data, syntax, parse_path(path_text(path))).place
        _is_whole(place, place.read(data), data)

    return read


def _is_whole(place: Located, value: bytes, data: bytes) -> None:
    if len(value) != place.size:
        raise Wrong(f"{len(value)} bytes were read where {place.size} should be")
    if not place.is_deflated and len(value) > len(data):
        raise Wrong("more came out than went in")


SURFACES = {"pixels": Surface(_make, _check)}
