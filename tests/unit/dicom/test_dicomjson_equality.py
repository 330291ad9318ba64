"""DICOM JSON equals pydicom's, element by element, but for the differences named here."""

from __future__ import annotations

import base64
import io
import json
import math
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.charset import python_encoding
from pydicom.dataset import Dataset
from pydicom.filereader import _read_file_meta_info, read_dataset, read_preamble
from pydicom.sequence import Sequence
from pynetdicom.dsutils import encode

from harmony.dicom import dicomjson
from harmony.dicom.dicomjson import match_to_json, metadata_to_json
from harmony.dicom.elements import Malformed
from harmony.envelope import Match
from tests.support import studies

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
ENCODINGS = {IMPLICIT: (True, True), EXPLICIT: (False, True), BIG: (False, False)}
SYNTAXES: dict[object, str] = {encoding: syntax for syntax, encoding in ENCODINGS.items()}
PIXELS = frozenset(("7FE00008", "7FE00009", "7FE00010"))
BLANKS_MEAN_NOTHING = frozenset(("AE", "CS", "DA", "DS", "DT", "IS", "TM", "UI"))
WIDTHS = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
SEVERAL_TEXTS = BLANKS_MEAN_NOTHING | {"AS", "LO", "SH", "UC"}

Shown = dict[str, Any]
Rule = Callable[[str, Shown | None, Shown | None], bool]


def values(shown: Shown | None) -> list[Any]:
    return [] if shown is None else shown.get("Value", [])


def changed(ours: Shown | None, theirs: Shown | None) -> list[tuple[Any, Any]]:
    """The values that differ, if there are as many of the same VR on both sides; else none."""
    if ours is None or theirs is None or ours["vr"] != theirs["vr"]:
        return []
    mine, others = values(ours), values(theirs)
    if len(mine) != len(others):
        return []
    return [pair for pair in zip(mine, others, strict=True) if not same(*pair)]


def same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


def utf8(key: str, ours: Shown | None, theirs: Shown | None) -> bool:
    """JSON is UTF-8 (RFC 8259 8.1), and the data set must say what it is, not what it was."""
    return key == "00080005" and ours == {"vr": "CS", "Value": ["ISO_IR 192"]}


def group_length(key: str, ours: Shown | None, theirs: Shown | None) -> bool:
    """PS3.18 F.2.2: group lengths are not included."""
    return key.endswith("0000") and ours is None


def no_items(key: str, ours: Shown | None, theirs: Shown | None) -> bool:
    """PS3.18 F.2.5: what is empty has no Value; pydicom writes an empty array."""
    return ours == {"vr": "SQ"} and theirs == {"vr": "SQ", "Value": []}


def null(key: str, ours: Shown | None, theirs: Shown | None) -> bool:
    """PS3.18 F.2.5: an empty one of several values is null; pydicom writes an empty string."""
    pairs = changed(ours, theirs)
    return bool(pairs) and all(pair in ((None, ""), (None, {"Alphabetic": ""})) for pair in pairs)


def padding(key: str, ours: Shown | None, theirs: Shown | None) -> bool:
    """PS3.5 6.2: blanks around a value mean nothing; pydicom cuts those behind the last one."""
    pairs = changed(ours, theirs)
    return (
        bool(pairs)
        and ours is not None
        and ours["vr"] in SEVERAL_TEXTS
        and all(isinstance(b, str) and a == (b.strip(" \0") or None) for a, b in pairs)
    )


def non_empty_groups(key: str, ours: Shown | None, theirs: Shown | None) -> bool:
    """PS3.18 F.2.2: a name has its non-empty groups; pydicom writes empty ones as well."""
    pairs = changed(ours, theirs)
    return bool(pairs) and all(
        isinstance(other, dict)
        and one == ({kind: group for kind, group in other.items() if group} or None)
        for one, other in pairs
    )


def exact_decimal(key: str, ours: Shown | None, theirs: Shown | None) -> bool:
    """PS3.18 F.2.3: DS and IS may be strings, and are where a double would change the value."""
    pairs = changed(ours, theirs)
    return bool(pairs) and all(isinstance(one, str) and float(one) == other for one, other in pairs)


def exact_integer(key: str, ours: Shown | None, theirs: Shown | None) -> bool:
    """PS3.18 F.2.3: so may SV and UV, beyond the 53 bits of a double."""
    pairs = changed(ours, theirs)
    return bool(pairs) and all(
        isinstance(one, str) and abs(other) > 2**53 - 1 and int(one) == other
        for one, other in pairs
    )


def no_number(key: str, ours: Shown | None, theirs: Shown | None) -> bool:
    """RFC 8259 6: JSON has no NaN and no infinity; Python's writes them all the same."""
    pairs = changed(ours, theirs)
    return bool(pairs) and all(one is None and not math.isfinite(other) for one, other in pairs)


def turned(key: str, ours: Shown | None, theirs: Shown | None) -> bool:
    """PS3.18 F.2.7: words are little endian; pydicom leaves those of a big endian sender."""
    if not (ours and theirs and "InlineBinary" in ours and ours["vr"] in WIDTHS):
        return False
    width = WIDTHS[ours["vr"]]
    mine, others = (base64.b64decode(each["InlineBinary"]) for each in (ours, theirs))
    words = [others[at : at + width][::-1] for at in range(0, len(others), width)]
    return mine == b"".join(words)


def pixels(key: str, ours: Shown | None, theirs: Shown | None) -> bool:
    """PS3.18 10.4.1.1.2: metadata has no bulk data in it."""
    return (
        key in PIXELS
        and ours is not None
        and theirs is not None
        and ours == {"vr": theirs["vr"], "BulkDataURI": "/bulk"}
    )


RULES: tuple[Rule, ...] = (
    utf8,
    group_length,
    no_items,
    null,
    padding,
    non_empty_groups,
    exact_decimal,
    exact_integer,
    no_number,
    turned,
    pixels,
)


def differences(ours: Shown, theirs: Shown) -> Iterator[tuple[str, Shown | None, Shown | None]]:
    for key in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(key), theirs.get(key)
        items, others = values(one), values(other)
        if one and other and one["vr"] == other["vr"] == "SQ" and len(items) == len(others) > 0:
            for pair in zip(items, others, strict=True):
                yield from differences(*pair)
        elif json.dumps(one) != json.dumps(other):
            yield key, one, other


def applied(ours: Shown, theirs: Shown) -> set[str]:
    """The rules that say why the two differ; fails if there is a difference without one."""
    used: set[str] = set()
    for key, one, other in differences(ours, theirs):
        rule = next((rule for rule in RULES if rule(key, one, other)), None)
        assert rule is not None, f"{key}: {one} here, {other} from pydicom"
        used.add(rule.__name__)
    return used


@pytest.fixture(autouse=True)
def all_but_pixels_inline(monkeypatch):
    monkeypatch.setattr(dicomjson, "MAX_INLINE_BYTES", 2**32)


def metadata(data: bytes, syntax: str) -> Shown:
    shown: Shown = json.loads(metadata_to_json(data, syntax, lambda path: "/bulk"))
    return shown


def read(raw: bytes) -> tuple[Dataset, bytes, str]:
    """A file as pydicom has it, with the data set in it and its transfer syntax."""
    file = io.BytesIO(raw)
    read_preamble(file, True)
    _read_file_meta_info(file)
    ds = pydicom.dcmread(io.BytesIO(raw), force=True)
    syntax = ds.file_meta.get("TransferSyntaxUID") if hasattr(ds, "file_meta") else None
    return ds, raw[file.tell() :], syntax or SYNTAXES[ds.original_encoding]


def reference(ds: Dataset) -> Shown:
    """What pydicom says, without the pixel data of the top level, which it would inflate."""
    for key in PIXELS:
        ds.pop(int(key, 16), None)
    shown: Shown = json.loads(json.dumps(ds.to_json_dict()))
    return shown


def compare_file(raw: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of what is wrong in its files
        ds, data, syntax = read(raw)
        theirs = reference(ds)
    ours = metadata(data, syntax)
    assert list(ours) == sorted(ours)
    for key in PIXELS & ours.keys():
        assert ours.pop(key)["BulkDataURI"] == "/bulk"
    applied(ours, theirs)


FOLDER = Path(pydicom.__file__).parent / "data"
# Those in the wheel: asking pydicom for its test data would make it download more.
FILES = {
    str(path.relative_to(FOLDER)): path
    for path in sorted(FOLDER.rglob("*"))
    if path.is_file() and (path.suffix == ".dcm" or "DICOMDIR" in path.name or path.stem.isdigit())
}
CUT_SHORT = {
    "test_files/MR_truncated.dcm",
    "test_files/rtplan_truncated.dcm",
    "test_files/dicomdirtests/DICOMDIR-nooffset",  # its last item is longer than its sequence
}
UNREADABLE = {
    "test_files/badVR.dcm",  # by pydicom: "1A" as an IS
    "test_files/no_meta.dcm",  # by both: it begins with the last byte of something
}


@pytest.mark.parametrize("name", sorted(FILES.keys() - CUT_SHORT - UNREADABLE))
def test_a_file_of_pydicoms_is_as_pydicom_shows_it(name):
    compare_file(FILES[name].read_bytes())


@pytest.mark.parametrize("name", sorted(CUT_SHORT))
def test_a_file_that_is_cut_short_is_refused_where_pydicom_shows_what_is_left(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, data, syntax = read(FILES[name].read_bytes())
    with pytest.raises(Malformed):
        metadata(data, syntax)


# Two more need encoders that are not everywhere; encapsulated they are all alike.
@pytest.mark.parametrize("syntax", ["implicit", "explicit", "deflated", "bigendian", "rle"])
def test_made_studies_of_every_kind_and_character_set_are_as_pydicom_shows_them(syntax):
    charsets = (*studies.CHARSETS, studies.UNDECLARED)
    kinds = tuple(studies.Kind)
    plan = studies.Plan(
        studies=len(charsets) * len(kinds),
        kinds=kinds,
        charsets=charsets,
        transfer_syntax=syntax,
        size=16,
        frames=2,
        private=True,
    )
    assert math.gcd(len(charsets), len(kinds)) == 1, "not every kind meets every character set"
    for _, ds in studies.make_instances(plan):
        file = io.BytesIO()
        ds.save_as(file, enforce_file_format=True)
        compare_file(file.getvalue())


def element(tag: int, vr: str, value: bytes) -> bytes:
    """In explicit VR little endian."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"):
        return head + struct.pack("<xxL", len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def implicit(tag: int, value: bytes) -> bytes:
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value


def both(data: bytes, syntax: str = EXPLICIT) -> tuple[Shown, Shown]:
    implicit, little = ENCODINGS[syntax]
    ours = json.loads(match_to_json(Match(identifier=data, transfer_syntax=syntax)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = read_dataset(io.BytesIO(data), implicit, little, bytelength=len(data))
        return ours, json.loads(json.dumps(ds.to_json_dict()))


NEEDED = {
    "utf8": element(0x00080005, "CS", b"ISO_IR 100"),
    "group_length": element(0x00100000, "UL", bytes(4)),
    "no_items": element(0x00081032, "SQ", b""),
    "null": element(0x00080061, "CS", b"CT\\\\MR"),
    "padding": element(0x00080061, "CS", b"CT \\ MR "),
    "non_empty_groups": element(0x00100010, "PN", b"=Yamada "),
    "exact_decimal": element(0x00189087, "DS", b"0.12345678901234567890"),
    "exact_integer": element(0x00091001, "UV", b"\xff" * 8),
    "no_number": element(0x00189087, "FD", b"\0\0\0\0\0\0\xf0\x7f"),
}


@pytest.mark.parametrize("rule", NEEDED)
def test_each_difference_is_there(rule):
    assert applied(*both(NEEDED[rule])) == {rule}


def test_pixel_data_of_an_icon_is_bulk_as_well():
    icon = element(0x00280100, "US", b"\x08\0") + element(0x7FE00010, "OB", b"ab")
    item = b"\xfe\xff\x00\xe0" + len(icon).to_bytes(4, "little") + icon
    data = element(0x00880200, "SQ", item)
    assert applied(metadata(data, EXPLICIT), both(data)[1]) == {"pixels"}


TEXT = st.text("ABC xyz^=.,-", max_size=12)
ONE_LINE = TEXT.map(lambda text: text.replace("=", ""))
DIGITS = st.integers(-(2**31), 2**31 - 1).map(str)
DECIMALS = st.sampled_from(["1.5", "-0.25", "1e3", "+7", ".5", "100", "0.1", "12345678.9"])
BYTES = st.binary(max_size=6).map(lambda each: each + bytes(-len(each) % 8))
KNOWN = {
    "AE": (0x00080054, ONE_LINE),
    "AS": (0x00101010, st.just("042Y")),
    "AT": (0x00209165, st.integers(0, 2**32 - 1)),
    "CS": (0x00080061, st.lists(st.sampled_from(["CT", "MR", ""]), max_size=3)),
    "DA": (0x00080020, st.just("20240229")),
    "DS": (0x00280030, st.lists(DECIMALS, max_size=3)),
    "DT": (0x0008002A, st.just("20240229101112.5+0100")),
    "FD": (0x00189087, st.floats(allow_nan=False, allow_infinity=False)),
    "FL": (0x00186030, st.floats(width=32, allow_nan=False, allow_infinity=False)),
    "IS": (0x00200013, DIGITS),
    "LO": (0x00081030, ONE_LINE),
    "LT": (0x00204000, TEXT),
    "OB": (0x00420011, BYTES),
    "OD": (0x00701A0A, BYTES),
    "OF": (0x00640009, BYTES),
    "OL": (0x00660040, BYTES),
    "OV": (0x7FE00001, BYTES),
    "PN": (0x00100010, st.sampled_from(["", "A^B", "A^B=C^D", "A=B=C", "^", "A^B^^^"])),
    "SH": (0x00080050, ONE_LINE),
    "SL": (0x00186020, st.integers(-(2**31), 2**31 - 1)),
    "SS": (0x00189219, st.integers(-(2**15), 2**15 - 1)),
    "ST": (0x00080081, TEXT),
    "SV": (0x00720082, st.integers(-(2**63), 2**63 - 1)),
    "TM": (0x00080030, st.just("101112.123")),
    "UC": (0x00189908, ONE_LINE),
    "UI": (0x0020000D, st.just("1.2.840.10008")),
    "UL": (0x00186016, st.integers(0, 2**32 - 1)),
    "UR": (0x00081190, st.just("http://pacs/studies/1")),
    "US": (0x00280010, st.integers(0, 2**16 - 1)),
    "UT": (0x0040A160, TEXT),
    "UV": (0x00720083, st.integers(0, 2**64 - 1)),
}
SETS = st.lists(st.sampled_from(sorted(KNOWN)), unique=True, max_size=8).flatmap(
    lambda vrs: st.fixed_dictionaries({vr: KNOWN[vr][1] for vr in vrs})
)
PLANS = st.recursive(
    SETS,
    lambda inner: st.tuples(SETS, st.lists(inner, max_size=2)).map(
        lambda pair: {**pair[0], "SQ": pair[1]}
    ),
    max_leaves=4,
)


def made(plan: dict[str, Any]) -> Dataset:
    ds = Dataset()
    for vr, value in plan.items():
        if vr == "SQ":
            ds.ProcedureCodeSequence = Sequence([made(item) for item in value])
        else:
            ds.add_new(KNOWN[vr][0], vr, value)
    return ds


@given(PLANS, st.sampled_from(list(ENCODINGS)))
@settings(max_examples=300)
def test_any_data_set_of_any_vr_is_as_pydicom_shows_it(plan, syntax):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = encode(made(plan), *ENCODINGS[syntax])
    assert data is not None
    used = applied(*both(data, syntax))
    assert "turned" not in used or syntax == BIG


def test_words_of_a_big_endian_sender_are_the_one_thing_that_is_turned():
    data = b"\x00\x28\x12\x01OW\x00\x00\x00\x00\x00\x02\x01\x02"
    assert applied(*both(data, BIG)) == {"turned"}


# Sets of two bytes a character have no letters that begin above 7F, and are none to begin with
# (PS3.3 C.12.1.1.2): such a byte is Latin-1 here, and lost in pydicom.
TWO_BYTES = {"ISO 2022 IR 87", "ISO 2022 IR 159"}


@pytest.mark.parametrize("term", sorted(python_encoding.keys() - TWO_BYTES))
def test_every_character_set_that_pydicom_knows_is_read_as_pydicom_reads_it(term):
    letters = bytes(range(0xA1, 0xFF))
    for letter in letters:
        text = b"A" + bytes([letter]) + b"B "
        data = element(0x00080005, "CS", term.encode() + b" " * (len(term) % 2))
        data += element(0x00100020, "LO", text)
        ours, theirs = both(data)
        assert ours["00100020"] == theirs["00100020"], f"{letter:02X} under {term}"


@pytest.mark.parametrize(
    ("creator", "tag", "value"),
    [
        (b"", 0x00100020, b"P123"),
        (b"", 0x00280010, b"\0\2"),
        (b"", 0x00209165, b"\x18\0\x63\x10"),
        (b"", 0x00420011, b"abcd"),
        (b"", 0x00100099, b"what"),
        (b"", 0x00081032, b""),
        (b"", 0x00081032, b"\xfe\xff\x00\xe0\x0a\0\0\0\x08\0\x00\x01\x02\0\0\0AB"),
        (b"SIEMENS MED SP DXMG WH AWS 1", 0x00191001, b"1.5 "),
        (b"GEMS_ACQU_01", 0x00191002, b"\1\0\0\0"),
        (b"GEMS_ACQU_01", 0x001910FF, b"what"),
        (b"NOBODY", 0x00191002, b"\1\0\0\0"),
    ],
)
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_vr_that_is_not_told_is_the_one_that_pydicoms_dictionaries_know(
    creator, tag, value, syntax
):
    data = [(0x00190010, "LO", creator + b" " * (len(creator) % 2))] if creator else []
    data.append((tag, "UN", value))
    if syntax == EXPLICIT:
        encoded = b"".join(element(*each) for each in data)
    else:
        encoded = b"".join(implicit(tag, value) for tag, _, value in data)
    assert applied(*both(encoded, syntax)) <= {"no_items"}


@pytest.mark.parametrize("outer", [b"\0\0", b"\1\0"])
@pytest.mark.parametrize("inner", [b"\0\0", b"\1\0", None])
def test_pixel_representation_counts_in_its_item_and_those_within(outer, inner):
    of_item = implicit(0x00409216, b"\xff\xff")  # US or SS
    if inner is not None:
        of_item = implicit(0x00280103, inner) + of_item
    item = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(of_item)) + of_item
    data = implicit(0x00280103, outer) + implicit(0x00409096, item)
    data += implicit(0x00603004, b"\xff\xff")  # US or SS, behind the sequence
    ours, theirs = both(data, IMPLICIT)
    assert ours == theirs
