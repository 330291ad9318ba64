"""HTTP to HTTP: client, `http` endpoint, `http` backend, an origin; all on real sockets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import msgspec
import pytest
import trio

from harmony.backends import http
from harmony.config.secrets import SecretError
from harmony.tls.contexts import ServerTls, server_context
from tests.support.certificates import Authority
from tests.support.eventually import eventually
from tests.support.fronted import SECONDS, fronted
from tests.support.gateway import Summaries
from tests.support.origin import (
    Asked,
    Origin,
    Script,
    Visit,
    answering,
    by,
    head,
    origin,
    pieces,
    whole,
)

HERE = Path()
MARK = "Doe^Jane"
IMPATIENT = dict.fromkeys(
    ("connect_seconds", "send_seconds", "answer_seconds", "read_seconds"), 0.5
)


def backend(url: str, folder: Path = HERE, **options: object) -> http.HttpBackend:
    return http.HttpBackend("web", msgspec.convert({"url": url, **options}, http.Options), folder)


@contextlib.asynccontextmanager
async def proxied(
    script: Script, path: str = "", **options: object
) -> AsyncIterator[tuple[httpx2.AsyncClient, Origin, Summaries]]:
    with trio.fail_after(SECONDS):
        async with origin(script) as peer:
            made = backend(f"http://127.0.0.1:{peer.port}{path}", HERE, **options)
            async with fronted(made) as (client, observed):
                yield client, peer, observed


async def test_requests_and_answers_go_through_as_they_are() -> None:
    answer = whole(b"made", 201, ("X-Own", "1"), ("Content-Type", "text/x; a=b"), ("Server", "S/1"))
    async with proxied(answering(answer), "/base") as (client, peer, _):
        got = await client.request(
            "REPORT",
            "/a%2Cb/c%20d/?x=1&y=%20",
            content=b"body",
            headers={"x-mine": "1", "content-encoding": "gzip", "x-request-id": "r-1"},
        )
    assert (got.status_code, got.content) == (201, b"made")
    assert (got.headers["x-own"], got.headers["content-type"]) == ("1", "text/x; a=b")
    assert got.headers.get_list("x-request-id") == ["r-1"]
    (asked,) = peer.asked
    assert (asked.method, asked.target) == ("REPORT", "/base/a%2Cb/c%20d/?x=1&y=%20")
    assert (asked.body, asked.get("content-encoding")) == (b"body", "gzip")
    assert (asked.get("x-mine"), asked.get("x-request-id")) == ("1", "r-1")


async def test_what_belongs_to_one_connection_stays_there() -> None:
    answer = whole(b"", 200, ("Connection", "x-hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=9"))
    async with proxied(answering(answer)) as (client, peer, _):
        got = await client.get(
            "/", headers={"connection": "x-hop, keep-alive", "x-hop": "1", "te": "trailers"}
        )
    assert not {"x-hop", "keep-alive"} & set(got.headers)
    (asked,) = peer.asked
    assert not {"x-hop", "te", "connection", "keep-alive"} & {name for name, _ in asked.headers}


async def test_an_origin_is_told_who_asks_and_not_by_the_client() -> None:
    forged = {"forwarded": "for=evil", "x-forwarded-for": "evil", "x-real-ip": "evil"}
    async with proxied(answering(whole(b""))) as (client, peer, _):
        await client.get("/", headers={**forged, "via": "1.0 before"})
    (asked,) = peer.asked
    assert "evil" not in str(asked.headers)
    assert asked.get("x-forwarded-for") == "127.0.0.1"
    assert asked.get("x-forwarded-proto") == "http"
    assert asked.get("x-forwarded-host") == client.base_url.netloc.decode()
    assert asked.get("via") == "1.0 before, 1.1 harmony"
    assert asked.get("host") == f"127.0.0.1:{peer.port}"


async def test_the_clients_host_on_demand() -> None:
    async with proxied(answering(whole(b"")), preserve_host=True) as (client, peer, _):
        await client.get("/", headers={"host": "viewer.test"})
    assert peer.asked[0].get("host") == "viewer.test"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("status", [200, 204, 304, 401, 404, 500, 503])
async def test_whatever_it_answers_is_the_answer(method: str, status: int) -> None:
    empty = status in (204, 304)
    answer = head(status) if empty else whole(b"text", status, ("WWW-Authenticate", "Basic"))
    if method == "HEAD" and not empty:
        answer = head(status, ("Content-Length", "4"), ("WWW-Authenticate", "Basic"))
    async with proxied(answering(answer)) as (client, peer, _):
        got = await client.request(method, "/")
        again = await client.request(method, "/")
    assert got.status_code == again.status_code == status
    assert got.content == (b"" if empty or method == "HEAD" else b"text")
    assert [asked.method for asked in peer.asked] == [method, method]
    assert all(asked.body == b"" for asked in peer.asked)


async def test_no_redirect_is_followed() -> None:
    answer = whole(b"", 302, ("Location", "http://other.test/"))
    async with proxied(answering(answer)) as (client, peer, _):
        got = await client.get("/", follow_redirects=False)
    assert (got.status_code, got.headers["location"]) == (302, "http://other.test/")
    assert len(peer.asked) == 1


@pytest.mark.parametrize("known", [True, False])
async def test_bodies_stream_both_ways(known: bool) -> None:
    """The origin has the first bytes, and the client its first bytes, before the last are sent."""
    first_heard, first_said = trio.Event(), trio.Event()
    size = 3_000_000

    async def script(visit: Visit) -> None:
        await visit.head()
        got = len((await visit.data()) or b"")
        first_heard.set()
        while (more := await visit.data()) is not None:
            got += len(more)
        assert got == size
        await visit.send(head(200, ("Transfer-Encoding", "chunked")) + b"5\r\nfirst\r\n")
        await first_said.wait()
        await visit.send(b"4\r\nlast\r\n0\r\n\r\n")

    async def body() -> AsyncIterator[bytes]:
        yield bytes(1_000_000)
        await first_heard.wait()
        yield bytes(2_000_000)

    headers = {"content-length": str(size)} if known else {}
    async with proxied(script) as (client, _, _):
        async with client.stream("POST", "/", content=body(), headers=headers) as answer:
            parts = answer.aiter_bytes()
            assert await anext(parts) == b"first"
            first_said.set()
            assert b"".join([part async for part in parts]) == b"last"


async def test_a_slow_reader_holds_the_origin_back() -> None:
    sent = 0

    async def script(visit: Visit) -> None:
        nonlocal sent
        await visit.asked()
        await visit.send(head(200, ("Content-Length", "1000000000")))
        while True:
            await visit.send(bytes(100_000))
            sent += 100_000

    async with proxied(script) as (client, peer, _):
        with socket.create_connection((client.base_url.host, client.base_url.port)) as raw:
            raw.sendall(b"GET /front/ HTTP/1.1\r\nHost: x\r\n\r\n")
            await eventually(lambda: sent > 0)
            before = -1
            while before != sent:
                before = sent
                await trio.sleep(0.3)
            assert sent < 50_000_000
        await eventually(lambda: peer.left == 1)


BAD_BEFORE = {
    "nobody there": (None, 502, "connection-failed"),
    "closes": (pieces([]), 502, "connection-lost"),
    "silent": (pieces([], end="hang"), 504, "answer-timeout"),
    "no HTTP": (pieces([f"{MARK}\r\n\r\n".encode()]), 502, "protocol-error"),
    "upgrades": (
        pieces([b"HTTP/1.1 101 X\r\nUpgrade: y\r\nConnection: upgrade\r\n\r\n"]),
        502,
        "protocol-error",
    ),
}


@pytest.mark.parametrize("bad", BAD_BEFORE.values(), ids=BAD_BEFORE.keys())
async def test_a_bad_origin_is_a_problem_document(
    bad: tuple[Script | None, int, str], caplog: pytest.LogCaptureFixture
) -> None:
    script, status, code = bad
    async with origin(script or answering(b"")) as peer:
        port = 1 if script is None else peer.port
        made = backend(f"http://127.0.0.1:{port}", timeouts=IMPATIENT)
        async with fronted(made) as (client, observed):
            got = await client.get(f"/{MARK}")
    assert (got.status_code, got.headers["content-type"]) == (status, "application/problem+json")
    assert got.json()["backend"] == "web"
    assert MARK not in got.text + caplog.text
    (summary,) = observed.all
    assert (summary.code, summary.outcome) == (code, "failed")


@pytest.mark.parametrize("end", ["close", "reset", "hang"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_an_answer_that_breaks_off_breaks_off(end: str, framing: str) -> None:
    begun = head(200, ("Content-Length", "9")) + b"half"
    if framing == "chunked":
        begun = head(200, ("Transfer-Encoding", "chunked")) + b"4\r\nhalf\r\n"
    async with proxied(pieces([begun], end=end), timeouts=IMPATIENT) as (client, peer, observed):
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/")
        peer.script = answering(whole(b"ok"))
        assert (await client.get("/")).text == "ok"
    assert [each.outcome for each in observed.all] == ["broken", "ok"]


async def test_a_client_that_leaves_ends_the_request_at_the_origin() -> None:
    async def script(visit: Visit) -> None:
        await visit.asked()
        await visit.gone()

    async with proxied(script) as (client, peer, observed):
        with trio.move_on_after(0.3):
            await client.get("/")
        await eventually(lambda: peer.gone == 1)
        await eventually(lambda: [each.outcome for each in observed.all] == ["client_gone"])


async def test_a_body_that_the_client_breaks_off_is_not_whole_for_the_origin() -> None:
    async def script(visit: Visit) -> None:
        await visit.head()
        while await visit.data() is not None:
            pass
        raise AssertionError("it looked whole")

    async with proxied(script) as (client, peer, _):
        with socket.create_connection((client.base_url.host, client.base_url.port)) as raw:
            raw.sendall(b"POST /front/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            raw.sendall(b"4\r\nhalf\r\n")
            await eventually(lambda: peer.visits == 1)
        await eventually(lambda: peer.left == 1)


async def test_more_than_the_limit_is_not_taken() -> None:
    async with origin(answering(whole(b""))) as peer:
        made = backend(f"http://127.0.0.1:{peer.port}")
        async with fronted(made, max_store_bytes=1024) as (client, _):
            assert (await client.post("/", content=bytes(1025))).status_code == 413
    assert not peer.asked


async def test_credentials_and_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    server = authority.issue("127.0.0.1", name="server")
    ours = authority.issue("harmony.test", name="ours")
    listener = server_context(
        ServerTls(
            cert_file=str(server.cert_file),
            key_file=str(server.key_file),
            ca_file=str(authority.ca_file),
        ),
        tmp_path,
    )
    (tmp_path / "password").write_text("hunter2\n")
    monkeypatch.setenv("WEB_USER", "me")
    with trio.fail_after(SECONDS):
        async with origin(answering(whole(b"ok")), listener) as peer:
            made = backend(
                f"https://127.0.0.1:{peer.port}",
                tmp_path,
                username={"env": "WEB_USER"},
                password={"file": "password"},
                tls={
                    "ca_file": authority.ca_file.name,
                    "cert_file": ours.cert_file.name,
                    "key_file": ours.key_file.name,
                },
            )
            async with fronted(made) as (client, _):
                got = await client.get("/", headers={"authorization": "Bearer evil"})
    assert got.text == "ok"
    assert peer.asked[0].get("authorization") == httpx2.BasicAuth("me", "hunter2")._auth_header
    assert "hunter2" not in repr(made) + repr(vars(made)) + caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {"bearer": {"env": "HARMONY_NONE"}},
        {"bearer": "hun ter2"},
        {"username": "u:", "password": ""},
    ],
)
def test_credentials_that_cannot_be_used_are_told_at_the_start(options: dict[str, object]) -> None:
    with pytest.raises(SecretError) as caught:
        backend("http://127.0.0.1:1", HERE, **options)
    assert "hun ter2" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 404, 405])
async def test_a_probe_asks_for_the_head_of_the_url(status: int) -> None:
    def answer(asked: Asked, _: int) -> bytes:
        return head(status, ("Content-Length", "0"))

    with trio.fail_after(SECONDS):
        async with origin(by(answer)) as peer:
            made = backend(f"http://127.0.0.1:{peer.port}/base")
            async with made.lifespan():
                probe = await made.probe()
        assert probe.ok
        assert str(status) in probe.detail
        assert [(asked.method, asked.target) for asked in peer.asked] == [("HEAD", "/base")]
        made = backend("http://127.0.0.1:1")
        async with made.lifespan():
            probe = await made.probe()
        assert not probe.ok
        assert "connection refused" in probe.detail
