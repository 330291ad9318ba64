"""What a client may ask of a picture, and what is none."""

from __future__ import annotations

import pytest

from harmony.dicom.web_query import parameters
from harmony.errors import RequestError
from harmony.rendering.wanted import Region, Wanted, Window, parse


def wanted(text: str, *, thumbnail: bool = False) -> Wanted:
    return parse(parameters(text), frame=3, thumbnail=thumbnail)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Wanted(frame=3)),
        ("quality=50", Wanted(frame=3, quality=50)),
        ("imageQuality=50", Wanted(frame=3, quality=50)),
        ("window=40,400", Wanted(frame=3, window=Window(40, 400))),
        ("window=40,400,sigmoid", Wanted(frame=3, window=Window(40, 400, "sigmoid"))),
        (
            "window=-600.5,1500,LINEAR-EXACT",
            Wanted(frame=3, window=Window(-600.5, 1500, "linear-exact")),
        ),
        ("window=0,0.5,linear-exact", Wanted(frame=3, window=Window(0, 0.5, "linear-exact"))),
        ("windowCenter=40&windowWidth=400", Wanted(frame=3, window=Window(40, 400))),
        ("viewport=512,256", Wanted(frame=3, viewport=(512, 256))),
        (
            "viewport=512,256,0,1,-10,20",
            Wanted(frame=3, viewport=(512, 256), region=Region(0, 1, -10, 20)),
        ),
        ("rows=100", Wanted(frame=3, viewport=(8192, 100))),
        ("columns=100&rows=50", Wanted(frame=3, viewport=(100, 50))),
        ("accept=image/png&annotation=patient", Wanted(frame=3)),
    ],
)
def test_a_picture_is_what_the_parameters_say(text, expected):
    assert wanted(text) == expected


def test_a_thumbnail_is_small_unless_it_is_to_have_a_size():
    assert wanted("", thumbnail=True).viewport == (128, 128)
    assert wanted("viewport=64,64", thumbnail=True).viewport == (64, 64)


@pytest.mark.parametrize(
    "text",
    [
        *(f"quality={value}" for value in ("0", "101", "9.5", "high", "", "1_0", "\u0661")),
        *(f"window={value}" for value in ("40", "40,400,linear,1", "a,b", ",", "nan,1", "1,inf")),
        *(
            f"window={value}"
            for value in ("40,0", "40,0.5", "40,-1", "40,0,sigmoid", "40,400,cubic")
        ),
        "windowCenter=40",
        *(f"viewport={value}" for value in ("512", "0,512", "512,9000", "1.5,2", "a,b", "1,2,3,4")),
        *(f"viewport=9,9,{value}" for value in ("-1,0,5,5", "0,0,0,5", "0,0,5,0", "0,0,5,x")),
        "rows=0",
        "rows=9000",
    ],
)
def test_what_cannot_be_is_400_and_says_what_to_write(text):
    with pytest.raises(RequestError) as caught:
        wanted(text)
    assert (caught.value.http_status, caught.value.code) == (400, "bad-value")
    assert caught.value.hint
