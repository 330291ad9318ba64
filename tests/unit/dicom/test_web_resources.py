"""Paths of DICOMweb, and what is none."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest

from harmony.dicom.web_resources import MAX_FRAMES, Kind, Resource, reference, resource_of
from harmony.envelope import Level
from harmony.errors import RequestError

INSTANCE = "/studies/1.2/series/3.4/instances/5.6"


def of_one(kind, *, frames=(), bulk=()):
    return Resource(
        kind=kind,
        level=Level.IMAGE,
        study="1.2",
        series="3.4",
        instance="5.6",
        frames=frames,
        bulk=bulk,
    )


FOUND = {
    "/studies": Resource(kind=Kind.SEARCH, level=Level.STUDY),
    "/series": Resource(kind=Kind.SEARCH, level=Level.SERIES),
    "/instances": Resource(kind=Kind.SEARCH, level=Level.IMAGE),
    "/studies/1.2/series": Resource(kind=Kind.SEARCH, level=Level.SERIES, study="1.2"),
    "/studies/1.2/instances": Resource(kind=Kind.SEARCH, level=Level.IMAGE, study="1.2"),
    "/studies/1.2/series/3.4/instances": Resource(
        kind=Kind.SEARCH, level=Level.IMAGE, study="1.2", series="3.4"
    ),
    "/studies/1.2": Resource(kind=Kind.INSTANCES, level=Level.STUDY, study="1.2"),
    "/studies/1.2/series/3.4": Resource(
        kind=Kind.INSTANCES, level=Level.SERIES, study="1.2", series="3.4"
    ),
    INSTANCE: of_one(Kind.INSTANCES),
    "/studies/1.2/metadata": Resource(kind=Kind.METADATA, level=Level.STUDY, study="1.2"),
    "/studies/1.2/rendered": Resource(kind=Kind.RENDERED, level=Level.STUDY, study="1.2"),
    "/studies/1.2/series/3.4/thumbnail": Resource(
        kind=Kind.THUMBNAIL, level=Level.SERIES, study="1.2", series="3.4"
    ),
    f"{INSTANCE}/metadata": of_one(Kind.METADATA),
    f"{INSTANCE}/frames/1": of_one(Kind.FRAMES, frames=(1,)),
    f"{INSTANCE}/frames/3,1,2": of_one(Kind.FRAMES, frames=(3, 1, 2)),
    f"{INSTANCE}/frames/2/rendered": of_one(Kind.RENDERED, frames=(2,)),
    f"{INSTANCE}/frames/2/thumbnail": of_one(Kind.THUMBNAIL, frames=(2,)),
    f"{INSTANCE}/bulk/7FE00010": of_one(Kind.BULK, bulk=(0x7FE00010,)),
    f"{INSTANCE}/bulk/54000100/0/54001010": of_one(Kind.BULK, bulk=(0x54000100, 0, 0x54001010)),
    "/aets": Resource(kind=Kind.TITLES),
    "/aets/PACS": Resource(kind=Kind.ECHO, title="PACS"),
    "/aets/MY PACS/studies": Resource(kind=Kind.SEARCH, level=Level.STUDY, title="MY PACS"),
}


def without_depth(resource):
    return {name: getattr(resource, name) for name in Resource.__slots__ if name != "depth"}


@pytest.mark.parametrize(("path", "resource"), FOUND.items())
def test_a_path_names_one_resource_with_or_without_a_slash_at_its_end(path, resource):
    for each in (path, f"{path}/"):
        found = resource_of(each, storing=False)
        assert without_depth(found) == without_depth(resource)
        assert found.depth == each.count("/")


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/studies", Resource(kind=Kind.STORE)),
        ("/studies/1.2/", Resource(kind=Kind.STORE, study="1.2")),
        ("/aets/PACS/studies", Resource(kind=Kind.STORE, title="PACS")),
    ],
)
def test_studies_can_be_stored_to(path, resource):
    assert without_depth(resource_of(path, storing=True)) == without_depth(resource)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/patients",
        "/studies/1.2/patients",
        "/studies/1.2/series/3.4/frames/1",
        "/studies/1.2/series/3.4/instances/5.6/frames",
        "/studies/1.2/series/3.4/instances/5.6/frames/1/2",
        "/studies/1.2/series/3.4/instances/5.6/bulk",
        "/studies/1.2/series/3.4/instances/5.6/pixels",
        "/studies/1.2/metadata/1",
        "/series/3.4",
        "/aets/PACS/aets",
        "/AETS",
        "/Studies",
    ],
)
def test_what_is_nothing_here_is_404(path):
    with pytest.raises(RequestError) as caught:
        resource_of(path, storing=False)
    assert caught.value.http_status == 404


@pytest.mark.parametrize("path", ["/series", "/studies/1.2/series/3.4", "/aets", "/instances"])
def test_nothing_else_can_be_stored_to(path):
    if path == "/aets":
        assert resource_of(path, storing=True).kind is not Kind.STORE
        return
    with pytest.raises(RequestError) as caught:
        resource_of(path, storing=True)
    assert caught.value.http_status == 404


@pytest.mark.parametrize("uid", ["x", "1..2", ".1", "1.", "1.2*", "1" * 65, "1.2\\3", "*"])
@pytest.mark.parametrize(
    "path",
    [
        "/studies/{}",
        "/studies/{}/metadata",
        "/studies/1.2/series/{}",
        "/studies/1.2/series/{}/instances",
        "/studies/1.2/series/3.4/instances/{}",
        "/studies/1.2/series/3.4/instances/{}/frames/1",
    ],
)
def test_what_is_no_uid_is_never_asked_for(path, uid):
    with pytest.raises(RequestError) as caught:
        resource_of(path.format(uid), storing=False)
    assert (caught.value.http_status, caught.value.code) == (400, "bad-uid")


@pytest.mark.parametrize(
    "frames",
    ["0", "1,0", "-1", "1,,2", ",1", "1,", "a", "1.0", "1e3", "1" * 10, "%31", " 1", "\u0661"],
)
def test_what_is_no_list_of_frames_is_400(frames):
    with pytest.raises(RequestError) as caught:
        resource_of(f"{INSTANCE}/frames/{frames}", storing=False)
    assert (caught.value.http_status, caught.value.code) == (400, "bad-frame-list")


def test_a_list_of_frames_has_a_limit():
    numbers = ",".join(["1"] * MAX_FRAMES)
    assert len(resource_of(f"{INSTANCE}/frames/{numbers}", storing=False).frames) == MAX_FRAMES
    with pytest.raises(RequestError, match="more than"):
        resource_of(f"{INSTANCE}/frames/{numbers},1", storing=False)


@pytest.mark.parametrize("path", [*FOUND, "/studies/", f"{INSTANCE}/"])
@pytest.mark.parametrize("root", ["", "/dicom-web", "/a/b"])
def test_references_lead_to_the_same_place_from_everywhere(path, root):
    depth = resource_of(path, storing=False).depth
    target = reference(depth, ["studies", "1.2", "series", "3.4"])
    assert (
        urljoin(f"http://host{root}{path}", target) == f"http://host{root}/studies/1.2/series/3.4"
    )
