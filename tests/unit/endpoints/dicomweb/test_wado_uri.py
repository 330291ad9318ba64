"""WADO-URI: what its parameters ask for, and what they must not be."""

from __future__ import annotations

import pytest

from harmony.dicom.web_resources import Kind
from harmony.endpoints.dicomweb.wado_uri import wado_uri
from harmony.envelope import Level
from harmony.errors import RequestError
from harmony.web.accept import AS_STORED, Offer

UIDS = "requestType=WADO&studyUID=1.2&seriesUID=3.4&objectUID=5.6"
DICOM = Offer("application/dicom")
PICTURES = (Offer("image/jpeg"), Offer("image/png"))


def test_one_instance_is_asked_for_as_it_is_stored():
    resource, accept = wado_uri("/wado", UIDS)
    assert (resource.kind, resource.level) == (Kind.INSTANCES, Level.IMAGE)
    assert (resource.study, resource.series, resource.instance) == ("1.2", "3.4", "5.6")
    choice = accept.choose([DICOM])
    assert (choice.offer, choice.syntaxes) == (DICOM, (AS_STORED,))


def test_a_transfer_syntax_may_be_named():
    _, accept = wado_uri("/wado", f"{UIDS}&contentType=application/dicom&transferSyntax=1.2.840.1")
    assert accept.choose([DICOM]).syntaxes == ("1.2.840.1",)


def test_a_picture_of_a_frame():
    resource, accept = wado_uri("/", f"{UIDS}&contentType=image/png&frameNumber=7")
    assert (resource.kind, resource.frames) == (Kind.RENDERED, (7,))
    assert accept.choose(PICTURES).offer == Offer("image/png")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("", "requestType"),
        ("requestType=wado", "requestType"),
        ("requestType=WADO&studyUID=1.2&seriesUID=3.4", "objectUID"),
        ("requestType=WADO&studyUID=x&seriesUID=3.4&objectUID=5.6", "studyUID"),
        (f"{UIDS}&objectUID=5.6", "objectUID"),
        (f"{UIDS}&\x01=1&\x01=2", "a parameter"),
        (f"{UIDS}&frameNumber=0", "frameNumber"),
        (f"{UIDS}&frameNumber=-1", "frameNumber"),
        (f"{UIDS}&frameNumber=\u0661", "frameNumber"),
        (f"{UIDS}&transferSyntax=x", "transferSyntax"),
    ],
)
def test_what_is_wrong_is_named(query, named):
    with pytest.raises(RequestError) as caught:
        wado_uri("/wado", query)
    assert caught.value.http_status == 400
    assert f"`{named}`" in caught.value.detail
