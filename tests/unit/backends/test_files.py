"""Files over HTTP: what is given of a folder, and what never is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from harmony.backends.files import FilesBackend, Options
from harmony.envelope import Headers, HttpRequest, Operation, Origin, RequestEnvelope
from harmony.errors import HarmonyError, RequestError
from harmony.pipeline import Pipeline, Route
from harmony.web.problems import MethodNotAllowed

BIG = bytes(range(256)) * 4096


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build = tmp_path / "build"
    (build / "assets").mkdir(parents=True)
    (build / "index.html").write_text("<html>index")
    (build / "app.js").write_text("app()")
    (build / "assets" / "code.wasm").write_bytes(b"\0asm")
    (build / "assets" / "big").write_bytes(BIG)
    (build / "assets" / "a b.txt").write_text("spaced")
    (build / "empty").touch()
    (build / ".secret").write_text("secret")
    (tmp_path / "outside.txt").write_text("outside")
    (tmp_path / "own.js").write_text("own()")
    (build / "link").symlink_to(tmp_path / "outside.txt")
    (build / "inside").symlink_to(build / "app.js")
    os.mkfifo(build / "pipe")
    return tmp_path


async def ask(
    folder: Path,
    path: str,
    *,
    method: str = "GET",
    headers: Headers = (),
    **options: object,
) -> tuple[int | None, dict[str, str], bytes]:
    made = Options(folder="build", **options)  # type: ignore[arg-type]
    pipeline = Pipeline("p", [Route(FilesBackend("viewer", made, folder))])
    request = RequestEnvelope(
        id="r",
        operation=Operation.HTTP,
        origin=Origin(pipeline="p", endpoint="e", caller="GET /"),
        http=HttpRequest(method=method, path=path),
        headers=headers,
    )
    with trio.fail_after(10):
        async with pipeline.exchange(request) as response:
            body = b"".join([item async for item in response.items if isinstance(item, bytes)])
            return response.status, dict(response.headers), body


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/", "text/html; charset=utf-8", b"<html>index"),
        ("/index.html", "text/html; charset=utf-8", b"<html>index"),
        ("/app.js", "text/javascript; charset=utf-8", b"app()"),
        ("/inside", "application/octet-stream", b"app()"),
        ("/assets/code.wasm", "application/wasm", b"\0asm"),
        ("/assets/big", "application/octet-stream", BIG),
        ("/assets/a%20b.txt", "text/plain; charset=utf-8", b"spaced"),
        ("/empty", "application/octet-stream", b""),
    ],
)
async def test_a_file_comes_whole_with_its_type_and_length(folder, path, kind, body):
    status, headers, found = await ask(folder, path)
    assert (status, found) == (200, body)
    assert headers["content-type"] == kind
    assert headers["content-length"] == str(len(body))
    assert headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/.secret",
        "/assets",
        "/assets/.git/config",
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/assets/..%2f..%2foutside.txt",
        "/link",
        "/pipe",
        "/app.js/more",
        "/a%00b",
        "//etc/passwd",
    ],
)
async def test_what_is_no_file_of_the_folder_is_404(folder, path):
    with pytest.raises(RequestError) as caught:
        await ask(folder, path)
    assert caught.value.http_status == 404


async def test_a_head_is_the_answer_without_its_body(folder):
    status, headers, body = await ask(folder, "/assets/big", method="HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", str(len(BIG)))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_files_are_only_read(folder, method):
    with pytest.raises(MethodNotAllowed):
        await ask(folder, "/app.js", method=method)


async def test_a_client_that_has_it_gets_304(folder):
    _, headers, _ = await ask(folder, "/app.js")
    tag = headers["etag"]
    for offered in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        status, again, body = await ask(folder, "/app.js", headers=(("if-none-match", offered),))
        assert (status, body, again["etag"]) == (304, b"", tag)
    status, _, body = await ask(folder, "/app.js", headers=(("if-none-match", '"other"'),))
    assert (status, body) == (200, b"app()")


async def test_a_single_page_program_gets_its_index_for_its_own_paths(folder):
    status, headers, body = await ask(folder, "/viewer/study", fallback=True)
    assert (status, body) == (200, b"<html>index")
    assert headers["content-type"] == "text/html; charset=utf-8"
    for path in ("/assets/gone.js", "/.secret"):
        with pytest.raises(RequestError):
            await ask(folder, path, fallback=True)


async def test_an_override_goes_before_the_file(folder):
    overrides = {"app.js": "own.js", "/config.js": "own.js"}
    for path in ("/app.js", "/config.js"):
        _, headers, body = await ask(folder, path, overrides=overrides)
        assert body == b"own()"
        assert headers["content-type"] == "text/javascript; charset=utf-8"


async def test_a_browser_may_be_told_to_keep_it(folder):
    _, headers, _ = await ask(folder, "/app.js", max_age_seconds=60)
    assert headers["cache-control"] == "max-age=60"


async def test_a_file_that_becomes_shorter_breaks_off(folder, monkeypatch):
    read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, most: read(descriptor, most)[:100])
    (folder / "build" / "assets" / "big").write_bytes(b"x" * 150)

    def shorter(descriptor: int, most: int) -> bytes:
        os.truncate(folder / "build" / "assets" / "big", 100)
        return read(descriptor, min(most, 100))

    monkeypatch.setattr(os, "read", shorter)
    with pytest.raises(Exception, match="became shorter"):
        await ask(folder, "/assets/big")


async def test_it_answers_http_alone_and_tells_whether_it_is_there(folder):
    backend = FilesBackend("viewer", Options(folder="build"), folder)
    assert [each for each in Operation if backend.accepts(each)] == [Operation.HTTP]
    assert (await backend.probe()).ok
    assert not (await FilesBackend("viewer", Options(folder="gone"), folder).probe()).ok


async def test_a_folder_that_is_not_there_gives_404(tmp_path):
    with pytest.raises(HarmonyError) as caught:
        await ask(tmp_path, "/")
    assert caught.value.http_status == 404
