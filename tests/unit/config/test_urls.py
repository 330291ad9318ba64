import pytest

from harmony.config.urls import BaseUrl


@pytest.mark.parametrize(
    ("text", "authority", "path"),
    [
        ("http://pacs", "pacs", ""),
        ("http://pacs/", "pacs", ""),
        ("http://pacs:80/dicom-web/", "pacs", "/dicom-web"),
        ("https://pacs:443", "pacs", ""),
        ("https://pacs:8443/a/b", "pacs:8443", "/a/b"),
        ("http://127.0.0.1:8042/%41", "127.0.0.1:8042", "/%41"),
        ("http://[::1]:8042", "[::1]:8042", ""),
        ("http://[::1]", "[::1]", ""),
    ],
)
def test_a_base_url_is_read(text: str, authority: str, path: str) -> None:
    url = BaseUrl.parse(text)
    assert (url.authority, url.path) == (authority, path)
    assert BaseUrl.parse(str(url)) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pacs:8042",
        "ftp://pacs",
        "http://",
        "http://user:hunter2@pacs",
        "http://pacs:0",
        "http://pacs:65536",
        "http://pacs:x",
        "http://pacs/a?b",
        "http://pacs/?",
        "http://pacs/#",
        "http://pacs//a",
        "http://pacs/../a",
        "http://pacs/a b",
        "http://pacs/%zz",
        "http://p acs",
        "http://[::1",
        "http://pacs\r\nX: y",
    ],
)
def test_what_is_no_base_url_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="is not a base URL") as caught:
        BaseUrl.parse(text)
    assert "hunter2" not in str(caught.value)
