"""Encoded data sets, proper ones and bombs, written element by element. PS3.5 7."""

from __future__ import annotations

import functools
import random
import struct
from collections.abc import Callable, Sequence

from tests.support.bad_caller.mutation import mutate
from tests.support.bad_caller.request import EXPLICIT, IMPLICIT

BIG_ENDIAN = "1.2.840.10008.1.2.2"
SYNTAXES = (IMPLICIT, EXPLICIT, BIG_ENDIAN)
UNDEFINED = 0xFFFFFFFF
QUERY_LEVEL, CHARACTER_SET = 0x00080052, 0x00080005
PATIENT_ID, STUDY_UID, SERIES_UID, INSTANCE_UID = 0x00100020, 0x0020000D, 0x0020000E, 0x00080018
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT"))

# A tag and the VR that the dictionary gives it.
_TAGS = (
    (0x00080005, "CS"),
    (0x00080018, "UI"),
    (0x00080020, "DA"),
    (0x00080030, "TM"),
    (0x00080050, "SH"),
    (0x00080061, "CS"),
    (0x00081140, "SQ"),
    (0x00090010, "LO"),
    (0x00091001, "UN"),
    (0x00100010, "PN"),
    (0x00100020, "LO"),
    (0x00101030, "DS"),
    (0x00189074, "DT"),
    (0x0020000D, "UI"),
    (0x0020000E, "UI"),
    (0x00200013, "IS"),
    (0x00280010, "US"),
    (0x00280103, "US"),
    (0x00280106, "US"),  # or SS
    (0x00400260, "SQ"),
    (0x0040A160, "UT"),
    (0x7FE00010, "OW"),
)
ODD_TEXTS = (
    b"",
    b" ",
    b"\0\0",
    b"*",
    b"?" * 64,
    b"\\" * 1000,
    b"1.2.3",
    b"1..2",
    b"not a uid",
    b"../../etc/passwd",
    b"20260101-",
    b"-",
    b"9" * 70,
    b"1e999",
    b"NaN",
    b"\r\n\x1b[31mred\x07",
    b"\x1b$B\x1b$B\x1b$)C",
    b"\xff\xfe\xfd",
    "Müller^Änne".encode(),
    b"A=B=C=D",
    b"DROP TABLE--",
    b"%s%n{0}",
)
_CHARACTER_SETS = (
    b"",
    b"ISO_IR 100",
    b"ISO_IR 192",
    b"\\ISO 2022 IR 87",
    b"ISO 2022 IR 149\\ISO 2022 IR 13",
    b"GB18030 ",
    b"NONSENSE",
    b"\xff\xff",
)
_LEVELS = (b"PATIENT ", b"STUDY ", b"SERIES", b"IMAGE ")
_NO_LEVELS = (b"", b"INSTANCE", b"study ", b"\xff\xff", b"STUDY\\SERIES")


def element(
    tag: int, vr: str, value: bytes, syntax: str = EXPLICIT, *, length: int | None = None
) -> bytes:
    """One element, padded to even length; `length` is what it claims."""
    if length is None:
        value += (b"\0" if vr in ("UI", "OB", "UN") else b" ") * (len(value) % 2)
        length = len(value)
    order = ">" if syntax == BIG_ENDIAN else "<"
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT:
        return head + struct.pack("<I", length) + value
    if vr in _LONG_VRS:
        return head + vr.encode() + struct.pack(order + "HI", 0, length) + value
    return head + vr.encode() + struct.pack(order + "H", length & 0xFFFF) + value


def mark(tag: int, length: int, syntax: str = EXPLICIT) -> bytes:
    """The head of an item, or a delimiter."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    return struct.pack(order + "HHI", tag >> 16, tag & 0xFFFF, length)


def sequence(
    tag: int, items: Sequence[bytes], syntax: str = EXPLICIT, *, delimited: bool = False
) -> bytes:
    """A sequence with lengths, or with delimiters. PS3.5 7.5."""
    if not delimited:
        body = b"".join(mark(_ITEM, len(item), syntax) + item for item in items)
        return element(tag, "SQ", body, syntax)
    body = b"".join(
        mark(_ITEM, UNDEFINED, syntax) + item + mark(_ITEM_END, 0, syntax) for item in items
    )
    return element(tag, "SQ", body, syntax, length=UNDEFINED) + mark(_SEQUENCE_END, 0, syntax)


def identifier(
    keys: Sequence[tuple[int, str, bytes]],
    *,
    level: bytes | None = b"STUDY",
    syntax: str = EXPLICIT,
) -> bytes:
    """Keys and the level, in ascending order. PS3.4 C.2.2."""
    found = [*keys, *([] if level is None else [(QUERY_LEVEL, "CS", level)])]
    return b"".join(element(tag, vr, value, syntax) for tag, vr, value in sorted(found))


def nested(depth: int, syntax: str = EXPLICIT, *, delimited: bool = False) -> bytes:
    """A sequence in a sequence in a sequence."""
    inner = b""
    for _ in range(depth):
        inner = sequence(0x00081140, [inner], syntax, delimited=delimited)
    return inner


def many(count: int, syntax: str = EXPLICIT) -> bytes:
    """So many elements, all of them private and empty."""
    return b"".join(element(0x00110000 + i % 0xFFFF, "LO", b"", syntax) for i in range(count))


def random_data_set(rng: random.Random, syntax: str, *, depth: int = 3) -> bytes:
    """A data set in which every length is true, whatever the values are."""
    found = bytearray()
    for tag, vr in sorted(rng.sample(_TAGS, rng.randint(0, 8))):
        if vr == "SQ":
            if depth:
                items = [
                    random_data_set(rng, syntax, depth=depth - 1) for _ in range(rng.randint(0, 3))
                ]
                found += sequence(tag, items, syntax, delimited=rng.random() < 0.5)
            continue
        if tag == CHARACTER_SET:
            value = rng.choice(_CHARACTER_SETS)
        else:
            value = rng.choice((*ODD_TEXTS, rng.randbytes(rng.randint(0, 40))))
        found += element(tag, vr, value, syntax)
    return bytes(found)


def random_identifier(rng: random.Random, syntax: str) -> bytes:
    """What a query might say: keys that are odd, and mostly the unique ones."""
    keys = [
        (tag, vr, rng.choice(ODD_TEXTS))
        for tag, vr in rng.sample(_TAGS, rng.randint(0, 6))
        if vr != "SQ"
    ]
    keys = [key for key in keys if key[0] not in (QUERY_LEVEL, STUDY_UID)]
    if rng.random() < 0.7:
        keys.append((STUDY_UID, "UI", rng.choice((b"1.2.3", b"1.2.3\\1.2.4", *ODD_TEXTS))))
    level = rng.choice(_LEVELS if rng.random() < 0.8 else (*_NO_LEVELS, None))
    return identifier(keys, level=level, syntax=syntax)


def bomb(rng: random.Random, syntax: str) -> bytes:
    """Something built to cost much, or to lead astray."""
    return named_bomb(rng.choice(BOMBS), syntax)


@functools.lru_cache(maxsize=64)
def named_bomb(name: str, syntax: str = EXPLICIT) -> bytes:
    """One of `BOMBS`."""
    return _BOMBS[name](syntax)


def bad_data_set(rng: random.Random, syntax: str, base: bytes | None = None) -> bytes:
    """A data set gone wrong; made of `base` if that is given."""
    dice = rng.random()
    if dice < 0.05:
        return bomb(rng, syntax)
    made = random_data_set(rng, syntax) if base is None else base
    if dice < 0.4:
        return made  # its values are odd enough; a broken length would hide them
    if dice < 0.45:
        return made + random_data_set(rng, rng.choice(SYNTAXES))
    return mutate(rng, made)


def _unknown_items() -> bytes:
    """The value of a sequence whose VR is unknown; implicit, whatever it is in. PS3.5 6.2.2."""
    inner = nested(60, IMPLICIT, delimited=True)
    return mark(_ITEM, len(inner)) + inner + mark(_SEQUENCE_END, 0)


_BOMBS: dict[str, Callable[[str], bytes]] = {
    "10,000 elements": lambda syntax: many(10_000, syntax),
    "30,000 elements": lambda syntax: many(30_000, syntax),
    "200 levels with lengths": lambda syntax: nested(200, syntax),
    "200 levels with delimiters": lambda syntax: nested(200, syntax, delimited=True),
    "5,000 levels never closed": lambda syntax: (
        (element(0x00081140, "SQ", b"", syntax, length=UNDEFINED) + mark(_ITEM, UNDEFINED, syntax))
        * 5000
    ),
    "an element of 4 GiB": lambda syntax: element(
        0x7FE00010, "OW", b"\0\0", syntax, length=0xFFFFFFFE
    ),
    "a text of undefined length": lambda syntax: element(
        0x0040A160, "UT", b"abcd", syntax, length=UNDEFINED
    ),
    "an item out of place": lambda syntax: mark(_ITEM, 0, syntax),
    "20,000 delimiters": lambda syntax: mark(_ITEM_END, 0, syntax) * 20_000,
    "40,000 empty items": lambda syntax: sequence(0x00081140, [b""] * 40_000, syntax),
    "UN of undefined length": lambda syntax: element(
        0x00091001, "UN", _unknown_items(), syntax, length=UNDEFINED
    ),
    "one number 30,000 times": lambda syntax: element(
        0x00101030, "DS", b"\\".join([b"1"] * 30_000), syntax
    ),
    "a UID list of 60,000 bytes": lambda syntax: element(
        STUDY_UID, "UI", b"\\".join([b"1.2.3"] * 10_000), syntax
    ),
}
BOMBS = tuple(_BOMBS)
# Large, but a server may well answer a query that holds them.
LAWFUL_BOMBS = frozenset(
    (
        "one number 30,000 times",
        "a UID list of 60,000 bytes",
        "UN of undefined length",
    )
)
