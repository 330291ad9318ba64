"""What clients take, as they really say it, and what they get of what there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.errors import RequestError
from harmony.web.accept import MAX_BYTES, Accept, Choice, Offer

JSON, PLAIN_JSON, OCTETS, DICOM = (
    "application/dicom+json",
    "application/json",
    "application/octet-stream",
    "application/dicom",
)
XML = "application/dicom+xml"
J2K = "1.2.840.10008.1.2.4.90"
LE = "1.2.840.10008.1.2.1"

SEARCH = (Offer(JSON), Offer(PLAIN_JSON), Offer(XML, multipart=True))
INSTANCES = (Offer(DICOM, multipart=True), Offer(DICOM))
NATIVE = (Offer(OCTETS, multipart=True), Offer(OCTETS))
COMPRESSED = (
    Offer("image/jp2", multipart=True),
    Offer(OCTETS, multipart=True),
    Offer("image/jp2"),
    Offer(OCTETS),
)
PICTURE = (Offer("image/jpeg"), Offer("image/png"))


def multipart(kind: str) -> Offer:
    return Offer(kind, multipart=True)


# What is offered, what the client says, and what it gets: an offer and syntaxes, or None for 406.
ROWS: list[tuple[tuple[Offer, ...], str | None, Offer | None, tuple[str, ...]]] = [
    (SEARCH, None, Offer(JSON), ()),
    (SEARCH, "", Offer(JSON), ()),
    (SEARCH, "*/*", Offer(JSON), ()),
    (SEARCH, "application/*", Offer(JSON), ()),
    (SEARCH, JSON, Offer(JSON), ()),
    (SEARCH, PLAIN_JSON, Offer(PLAIN_JSON), ()),
    (SEARCH, f"{JSON}, {PLAIN_JSON}", Offer(JSON), ()),  # PyPI dicomweb-client
    (SEARCH, f"{PLAIN_JSON}, {JSON};q=0.5", Offer(PLAIN_JSON), ()),
    (SEARCH, f"{JSON};q=0.2, {PLAIN_JSON};q=0.3", Offer(PLAIN_JSON), ()),
    (SEARCH, f"{JSON};q=0, */*", Offer(PLAIN_JSON), ()),
    (SEARCH, f'multipart/related; type="{XML}"', multipart(XML), ()),
    (SEARCH, f"multipart/related; type={XML}", multipart(XML), ()),
    (SEARCH, f'multipart/related; type="{XML}", {JSON}', Offer(JSON), ()),
    (SEARCH, f'multipart/related; type="{XML}", {JSON};q=0.9', multipart(XML), ()),
    (SEARCH, "multipart/related", multipart(XML), ()),
    (SEARCH, XML, None, ()),
    (SEARCH, "text/html", None, ()),
    (SEARCH, "text/html, */*;q=0.1", Offer(JSON), ()),
    (SEARCH, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Offer(JSON), ()),
    (SEARCH, 'multipart/related; type="application/dicom"', None, ()),
    (SEARCH, "APPLICATION/DICOM+JSON", Offer(JSON), ()),
    (SEARCH, f"  {JSON}  ", Offer(JSON), ()),
    (SEARCH, f", ,{JSON},", Offer(JSON), ()),
    (SEARCH, f"{JSON}; charset=utf-8", Offer(JSON), ()),
    (SEARCH, f"{JSON}; q=1.000", Offer(JSON), ()),
    (SEARCH, f"{JSON};q=0.001", Offer(JSON), ()),
    (SEARCH, f"{JSON};q=0", None, ()),
    (SEARCH, "*/*;q=0", None, ()),
    (SEARCH, f"*/*;q=0, {PLAIN_JSON}", Offer(PLAIN_JSON), ()),
    (SEARCH, "image/*", None, ()),
    (INSTANCES, None, multipart(DICOM), ()),
    (INSTANCES, "*/*", multipart(DICOM), ()),
    (INSTANCES, DICOM, Offer(DICOM), ()),
    (INSTANCES, f"{DICOM}; transfer-syntax=*", Offer(DICOM), ("*",)),
    (INSTANCES, f'multipart/related; type="{DICOM}"', multipart(DICOM), ()),
    (INSTANCES, f"multipart/related; type={DICOM}", multipart(DICOM), ()),
    (INSTANCES, f'multipart/related;type="{DICOM}";transfer-syntax=*', multipart(DICOM), ("*",)),
    (
        INSTANCES,
        f'multipart/related; type="{DICOM}"; transfer-syntax="*"',
        multipart(DICOM),
        ("*",),
    ),
    (
        INSTANCES,
        f'multipart/related; type="{DICOM}"; transfer-syntax={J2K}',
        multipart(DICOM),
        (J2K,),
    ),
    (
        INSTANCES,
        f'multipart/related; type="{DICOM}"; transfer-syntax="{J2K}"',
        multipart(DICOM),
        (J2K,),
    ),
    (
        INSTANCES,
        f"multipart/related; type={DICOM}; transfer-syntax={LE}; q=0.5, "
        f"multipart/related; type={DICOM}; transfer-syntax={J2K}",
        multipart(DICOM),
        (J2K, LE),
    ),
    (
        INSTANCES,
        f"multipart/related; type={DICOM}; transfer-syntax={LE}; q=0, "
        f"multipart/related; type={DICOM}; transfer-syntax={J2K}",
        multipart(DICOM),
        (J2K,),
    ),
    (INSTANCES, f"multipart/related; transfer-syntax={LE}; type={DICOM}", multipart(DICOM), (LE,)),
    (INSTANCES, 'multipart/related; type="*/*"', multipart(DICOM), ()),
    (INSTANCES, "multipart/related; type=application/*", multipart(DICOM), ()),
    (INSTANCES, "multipart/related", multipart(DICOM), ()),
    (INSTANCES, f"{DICOM}, */*;q=0.5", Offer(DICOM), ()),
    (INSTANCES, JSON, None, ()),
    (INSTANCES, 'multipart/related; type="application/dicom+json"', None, ()),
    (INSTANCES, 'multipart/related; type="image/jpeg"', None, ()),
    (INSTANCES, "multipart/mixed; type=application/dicom", None, ()),
    (INSTANCES, "application/zip", None, ()),
    (NATIVE, None, multipart(OCTETS), ()),
    (NATIVE, "*/*", multipart(OCTETS), ()),
    (NATIVE, f"multipart/related; type={OCTETS}", multipart(OCTETS), ()),
    (NATIVE, f'multipart/related; type="{OCTETS}"', multipart(OCTETS), ()),
    # OHIF, in both of its ways
    (NATIVE, f"multipart/related; type={OCTETS}; transfer-syntax=*", multipart(OCTETS), ("*",)),
    (NATIVE, f'multipart/related; type="{OCTETS}"; transfer-syntax="*"', multipart(OCTETS), ("*",)),
    (NATIVE, 'multipart/related; type="*/*"', multipart(OCTETS), ()),  # PyPI dicomweb-client
    (NATIVE, OCTETS, Offer(OCTETS), ()),
    (NATIVE, 'multipart/related; type="image/jp2"', None, ()),
    (NATIVE, f'multipart/related; type="image/jp2", {OCTETS};q=0.1', Offer(OCTETS), ()),
    (NATIVE, f"multipart/related; type={OCTETS}; transfer-syntax={LE}", multipart(OCTETS), (LE,)),
    (COMPRESSED, None, multipart("image/jp2"), ()),
    (COMPRESSED, 'multipart/related; type="*/*"', multipart("image/jp2"), ()),
    (COMPRESSED, "multipart/related; type=image/*", multipart("image/jp2"), ()),
    (COMPRESSED, "multipart/related; type=image/jp2", multipart("image/jp2"), ()),
    (COMPRESSED, f"multipart/related; type={OCTETS}", multipart(OCTETS), ()),
    (COMPRESSED, f"multipart/related; type={OCTETS}; transfer-syntax=*", multipart(OCTETS), ("*",)),
    (
        COMPRESSED,
        f"multipart/related; type=image/jp2; transfer-syntax={J2K}, "
        f"multipart/related; type={OCTETS}; q=0.4",
        multipart("image/jp2"),
        (J2K,),
    ),
    (
        COMPRESSED,
        f"multipart/related; type=image/jp2; q=0.1, multipart/related; type={OCTETS}; q=0.4",
        multipart(OCTETS),
        (),
    ),
    (COMPRESSED, "image/jp2", Offer("image/jp2"), ()),
    (COMPRESSED, "image/*", Offer("image/jp2"), ()),
    (COMPRESSED, "image/png", None, ()),
    (COMPRESSED, "multipart/related; type=image/png", None, ()),
    (PICTURE, None, Offer("image/jpeg"), ()),
    (PICTURE, "*/*", Offer("image/jpeg"), ()),
    (PICTURE, "image/*", Offer("image/jpeg"), ()),
    (PICTURE, "image/png", Offer("image/png"), ()),
    (PICTURE, "image/png, image/jpeg;q=0.8", Offer("image/png"), ()),
    (PICTURE, "image/avif,image/webp,image/apng,*/*;q=0.8", Offer("image/jpeg"), ()),
    (PICTURE, "image/gif", None, ()),
    (PICTURE, "image/jpeg;q=0, image/*", Offer("image/png"), ()),
    (PICTURE, 'multipart/related; type="image/jpeg"', None, ()),
    (PICTURE, "application/pdf", None, ()),
]

BAD = [
    "text",
    "/",
    "application/",
    "/json",
    "application json",
    "application/json; q=2",
    "application/json; q=-1",
    "application/json; q=high",
    "application/json; q=0.1234",
    "application/json; =x",
    'application/json; a="open',
    "application/json foo",
    "application/json; a b",
    ",",
    ", ,",
    "é/é",
    "a" * (MAX_BYTES + 1),
]


def name(row: tuple[tuple[Offer, ...], str | None, Offer | None, tuple[str, ...]]) -> str:
    return f"{row[0][0].media_type}|{row[1]}"


@pytest.mark.parametrize(("offers", "header", "offer", "syntaxes"), ROWS, ids=map(name, ROWS))
def test_a_client_gets_what_it_likes_best(offers, header, offer, syntaxes):
    accept = Accept(header)
    if offer is None:
        with pytest.raises(RequestError) as caught:
            accept.choose(offers)
        assert caught.value.http_status == 406
        assert str(offers[0]) in str(caught.value.hint)
    else:
        assert accept.choose(offers) == Choice(offer, syntaxes)


@pytest.mark.parametrize("header", BAD)
def test_what_is_no_list_of_media_types_is_refused(header):
    with pytest.raises(RequestError) as caught:
        Accept(header)
    assert (caught.value.http_status, caught.value.code) == (400, "bad-accept")


def test_the_parameter_goes_before_the_header():
    assert Accept("text/html", "image/png").choose(PICTURE).offer == Offer("image/png")


def test_any_text_is_read_or_refused_and_nothing_else_happens():
    @given(st.text(max_size=60) | st.text(alphabet='a/*;,=q"\\ .10-', max_size=60))
    def check(header):
        status, offer = 200, None
        try:
            offer = Accept(header).choose(INSTANCES).offer
        except RequestError as exc:
            status = exc.http_status
        assert (status, offer) in [(400, None), (406, None), *((200, each) for each in INSTANCES)]

    check()
