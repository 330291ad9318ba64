"""Which mount serves which path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.errors import RequestError
from harmony.web.exchange import Handler, Reply, Request
from harmony.web.router import Router, split_path


def handler() -> Handler:
    async def never(request: Request, reply: Reply) -> None:
        raise AssertionError

    return never


MOUNTS = ("/dicom", "/dicom/deep", "/dicom-web", "/é")


@pytest.fixture
def router() -> Router:
    router = Router()
    for prefix in MOUNTS:
        router.mount(prefix, handler())
    return router


@pytest.mark.parametrize(
    ("raw_path", "prefix", "below"),
    [
        (b"/dicom", "/dicom", "/"),
        (b"/dicom/", "/dicom", "/"),
        (b"/dicom/find", "/dicom", "/find"),
        (b"/dicom/find/", "/dicom", "/find/"),
        (b"/dicom/deeper", "/dicom", "/deeper"),
        (b"/dicom/deep", "/dicom/deep", "/"),
        (b"/dicom/deep/a/b", "/dicom/deep", "/a/b"),
        (b"/dicom-web/studies", "/dicom-web", "/studies"),
        (b"/dic%6Fm/a%20b", "/dicom", "/a b"),
        (b"/%C3%A9/x", "/é", "/x"),
        (b"http://host:80/dicom/find", "/dicom", "/find"),
        (b"HTTPS://host/dicom", "/dicom", "/"),
        (b"/dicom/a...b/..c", "/dicom", "/a...b/..c"),
    ],
)
def test_the_longest_prefix_of_whole_segments_serves(
    router: Router, raw_path: bytes, prefix: str, below: str
) -> None:
    found, path, _ = router.find(raw_path)
    router.unmount(prefix)
    router.mount(prefix, other := handler())
    assert router.find(raw_path)[:2] == (other, path)
    assert found is not other
    assert path == below


@pytest.mark.parametrize("raw_path", [b"/", b"/dico", b"/dicomx", b"/x/dicom", b"http://dicom"])
def test_what_nobody_serves_is_404(router: Router, raw_path: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        router.find(raw_path)
    assert caught.value.http_status == 404


@pytest.mark.parametrize(
    "raw_path",
    [
        b"/dicom/..",
        b"/dicom/../admin",
        b"/dicom/%2e%2E/admin",
        b"/dicom/./find",
        b"/dicom//find",
        b"//dicom",
        b"/dicom/a%2Fb",
        b"/dicom/a%2fb",
        b"/dicom/a%5Cb",
        b"/dicom/a\\b",
        b"/dicom/%00",
        b"/dicom/%ff",
        b"*",
        b"dicom",
        b"",
        b"http://host/dicom/..",
        b"ftp://host/dicom",
    ],
)
def test_a_path_that_can_be_read_in_two_ways_is_400(router: Router, raw_path: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        router.find(raw_path)
    assert caught.value.http_status == 400
    assert caught.value.code == "malformed-path"


def test_the_root_serves_what_no_other_prefix_does(router: Router) -> None:
    router.mount("/", root := handler())
    assert router.find(b"/anything") == (root, "/anything", "/anything")
    assert router.find(b"/") == (root, "/", "/")
    assert router.find(b"/dicom/find")[0] is not root


def test_a_mount_can_go_and_come_back(router: Router) -> None:
    router.unmount("/dicom/deep")
    assert router.find(b"/dicom/deep/a")[1] == "/deep/a"
    router.mount("/dicom/deep/", handler())
    assert router.find(b"/dicom/deep/a")[1] == "/a"


@pytest.mark.parametrize("prefix", ["/dicom", "/dicom/"])
def test_a_taken_prefix_is_refused(router: Router, prefix: str) -> None:
    with pytest.raises(ValueError, match="taken"):
        router.mount(prefix, handler())


def test_a_prefix_without_slash_or_mount_is_refused(router: Router) -> None:
    with pytest.raises(ValueError, match="slash"):
        router.mount("dicom", handler())
    with pytest.raises(ValueError, match="nothing"):
        router.unmount("/x")


@given(st.binary(max_size=60))
def test_any_target_is_split_into_plain_segments_or_refused(raw_path: bytes) -> None:
    error, segments = None, [""]
    try:
        segments = split_path(raw_path)
    except RequestError as exc:
        error = exc
    assert error is None or error.http_status == 400
    assert not {".", ".."}.intersection(segments)
    assert not any(char in segment for segment in segments for char in "/\\\0")
    assert all(segments[:-1])


@pytest.mark.parametrize(
    ("raw_path", "path", "as_sent"),
    [
        (b"/dicom/a%20b/c%2Cd", "/a b/c,d", "/a%20b/c%2Cd"),
        (b"/di%63om/a", "/a", "/a"),
        (b"/dicom/", "/", "/"),
        (b"http://host/dicom/%C3%BC", "/\u00fc", "/%C3%BC"),
    ],
)
def test_the_path_below_a_mount_is_told_as_it_was_sent(raw_path, path, as_sent):
    router = Router()
    router.mount("/dicom", handler())
    assert router.find(raw_path)[1:] == (path, as_sent)
