"""The client against origins on real sockets, good ones and bad ones."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trio.lowlevel
import trio.testing

from harmony.config.urls import BaseUrl
from harmony.errors import HarmonyError, RequestError, Retry, Unavailable, UpstreamError
from harmony.tls.contexts import ClientTls, ServerTls, client_context, server_context
from harmony.web.client import ClientLimits, ClientTimeouts, Credentials, HttpClient
from tests.support.certificates import Authority
from tests.support.origin import Origin, Script, Visit, answering, head, origin, pieces, whole

SECONDS = 20
IMPATIENT = ClientTimeouts(
    connect_seconds=1, send_seconds=0.5, answer_seconds=0.5, read_seconds=0.5
)
MARK = "Doe^Jane"


@contextlib.asynccontextmanager
async def asking(
    script: Script,
    *,
    path: str = "",
    timeouts: ClientTimeouts | None = None,
    limits: ClientLimits | None = None,
    credentials: Credentials | None = None,
) -> AsyncIterator[tuple[HttpClient, Origin]]:
    with trio.fail_after(SECONDS):
        async with origin(script) as peer:
            client = HttpClient(
                "web",
                BaseUrl.parse(f"http://127.0.0.1:{peer.port}{path}"),
                timeouts=timeouts,
                limits=limits,
                credentials=credentials,
            )
            async with client.run():
                yield client, peer


async def whole_answer(client: HttpClient, method: str = "GET", target: str = "/") -> bytes:
    async with client.ask(method, target) as answer:
        return await answer.whole(10_000_000)


async def test_a_request_goes_out_as_it_is() -> None:
    target = "/a%2Fb/%7e;x=[1]?q=%20+|'\"&n=a//../b"
    async with asking(answering(whole(b"ok", 201, ("X-One", "1"))), path="/base") as (client, peer):
        async with client.ask("REPORT", target, headers=(("x-two", "é"),)) as answer:
            assert (answer.status, answer.get("x-one")) == (201, "1")
            assert await answer.whole(10) == b"ok"
    (asked,) = peer.asked
    assert (asked.method, asked.target) == ("REPORT", "/base" + target)
    assert dict(asked.headers) == {"host": f"127.0.0.1:{peer.port}", "x-two": "é"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
async def test_a_request_without_body(method: str) -> None:
    async with asking(answering(whole(b""))) as (client, peer):
        assert await whole_answer(client, method) == b""
    (asked,) = peer.asked
    assert asked.body == b""
    assert asked.get("transfer-encoding") is None


@pytest.mark.parametrize("length", [None, 600_000])
async def test_a_body_streams_out(length: int | None) -> None:
    async def body() -> AsyncIterator[bytes]:
        for n in range(6):
            yield bytes([n]) * 100_000

    async with (
        asking(answering(whole(b"ok"))) as (client, peer),
        client.ask("POST", "/", body=body(), length=length) as answer,
    ):
        assert await answer.whole(10) == b"ok"
    (asked,) = peer.asked
    assert asked.body == b"".join(bytes([n]) * 100_000 for n in range(6))
    framing = asked.get("content-length"), asked.get("transfer-encoding")
    assert framing == (("600000", None) if length else (None, "chunked"))


async def test_headers_of_the_connection_are_not_taken_from_callers() -> None:
    given = (("host", "evil"), ("transfer-encoding", "chunked"), ("content-length", "9"))
    async with (
        asking(answering(whole(b""))) as (client, peer),
        client.ask("GET", "/", headers=(*given, ("connection", "x"), ("te", "trailers"))),
    ):
        pass
    assert dict(peer.asked[0].headers) == {"host": f"127.0.0.1:{peer.port}"}


async def test_credentials_replace_what_a_caller_sends() -> None:
    credentials = Credentials(bearer="s3cret")
    async with asking(answering(whole(b"")), credentials=credentials) as (client, peer):
        async with client.ask("GET", "/", headers=(("authorization", "Basic evil"),)):
            pass
        assert "s3cret" not in repr(client) + repr(client.peer)
    assert [v for n, v in peer.asked[0].headers if n == "authorization"] == ["Bearer s3cret"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    async with asking(answering(whole(b"", status, ("Location", "/other")))) as (client, peer):
        async with client.ask("GET", "/") as answer:
            assert (answer.status, answer.get("location")) == (status, "/other")
    assert len(peer.asked) == 1


async def test_no_cookie_is_kept() -> None:
    async with asking(answering(whole(b"", 200, ("Set-Cookie", "a=b")))) as (client, peer):
        await whole_answer(client)
        await whole_answer(client)
    assert [asked.get("cookie") for asked in peer.asked] == [None, None]


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with asking(answering(whole(b"ok"))) as (client, _):
        assert await whole_answer(client) == b"ok"


async def test_what_is_encoded_stays_so() -> None:
    script = answering(whole(b"\x1f\x8b", 200, ("Content-Encoding", "gzip")))
    async with asking(script) as (client, _):
        assert await whole_answer(client) == b"\x1f\x8b"


async def test_connections_are_kept_between_requests() -> None:
    async with asking(answering(whole(b"ok"))) as (client, peer):
        for _ in range(3):
            await whole_answer(client)
        assert peer.visits == 1


async def test_an_answer_half_read_costs_the_connection() -> None:
    async def script(visit: Visit) -> None:
        await visit.asked()
        await visit.send(head(200, ("Content-Length", "1000000")) + b"x" * 1000)
        await visit.gone()

    async with asking(script) as (client, peer):
        async with client.ask("GET", "/") as answer:
            await anext(answer)
        while not peer.gone:
            await trio.sleep(0.005)


async def test_informational_answers_are_passed_over() -> None:
    script = answering(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + whole(b"ok"))
    async with asking(script) as (client, _):
        assert await whole_answer(client) == b"ok"


async def test_a_kept_connection_that_died_is_replaced() -> None:
    async def once(visit: Visit) -> None:
        await visit.asked()
        await visit.send(whole(b"ok"))  # and closes, without a word

    async with asking(once) as (client, peer):
        for _ in range(5):
            assert await whole_answer(client) == b"ok"
        assert peer.visits >= 5


async def test_what_must_not_be_sent_twice_is_not() -> None:
    async with asking(pieces([])) as (client, peer):
        with pytest.raises(UpstreamError) as caught:
            await whole_answer(client, "POST")
    assert (caught.value.code, caught.value.http_status) == ("connection-lost", 502)
    assert peer.visits == 1


BAD = {
    "closes": (pieces([]), "connection-lost", 502),
    "resets": (pieces([], end="reset"), "connection-lost", 502),
    "says nothing": (pieces([], end="hang"), "answer-timeout", 504),
    "stops in its head": (pieces([b"HTTP/1.1 20"], end="hang"), "answer-timeout", 504),
    "closes in its head": (pieces([b"HTTP/1.1 200 OK\r\nA: b\r\n"]), "connection-lost", 502),
    "is no HTTP": (pieces([f"{MARK}\r\n\r\n".encode()]), "protocol-error", 502),
    "old HTTP": (pieces([b"ICY 200 OK\r\n\r\n"]), "protocol-error", 502),
    "huge head": (pieces([b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 50_000]), "protocol-error", 502),
    "bad header": (pieces([f"HTTP/1.1 200 OK\r\n{MARK}\r\n\r\n".encode()]), "protocol-error", 502),
    "two lengths": (
        pieces([head(200, ("Content-Length", "1"), ("Content-Length", "2")) + b"x"]),
        "protocol-error",
        502,
    ),
    "switches protocols": (
        pieces([b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"]),
        "protocol-error",
        502,
    ),
    "closes in its body": (
        pieces([head(200, ("Content-Length", "9")) + b"x"]),
        "answer-broken",
        502,
    ),
    "resets in its body": (
        pieces([head(200, ("Content-Length", "9")) + b"x"], end="reset"),
        "answer-broken",
        502,
    ),
    "stops in its body": (
        pieces([head(200, ("Content-Length", "9")) + b"x"], end="hang"),
        "answer-timeout",
        504,
    ),
    "closes in a chunk": (
        pieces([head(200, ("Transfer-Encoding", "chunked")) + b"5\r\nab"]),
        "answer-broken",
        502,
    ),
    "closes between chunks": (
        pieces([head(200, ("Transfer-Encoding", "chunked")) + b"2\r\nab\r\n"]),
        "answer-broken",
        502,
    ),
    "bad chunk": (
        pieces([head(200, ("Transfer-Encoding", "chunked")) + f"{MARK}\r\n".encode()]),
        "answer-broken",
        502,
    ),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_a_bad_origin_is_a_failure_that_names_it(
    bad: tuple[Script, str, int], caplog: pytest.LogCaptureFixture
) -> None:
    script, code, status = bad
    async with asking(script, timeouts=IMPATIENT) as (client, peer):
        with pytest.raises(HarmonyError) as caught:
            await whole_answer(client)
        error = caught.value
        assert (error.code, error.http_status) == (code, status)
        assert isinstance(error, UpstreamError)
        assert (error.backend, error.peer) == ("web", f"http://127.0.0.1:{peer.port}")
        assert error.asked
        chain: list[str] = []
        exc: BaseException | None = error
        while exc is not None:
            chain.append(str(exc))
            exc = exc.__cause__
        assert MARK not in "".join(chain) + caplog.text
        peer.script = answering(whole(b"ok"))
        assert await whole_answer(client) == b"ok"


async def test_an_answer_that_ends_with_its_connection() -> None:
    async with asking(pieces([head(200), b"a", b"b"])) as (client, _):
        assert await whole_answer(client) == b"ab"


async def test_more_than_is_wanted_is_a_failure() -> None:
    async with asking(answering(whole(b"x" * 11))) as (client, _):
        with pytest.raises(UpstreamError, match="larger than 10 bytes"):
            async with client.ask("GET", "/") as answer:
                await answer.whole(10)


async def test_nobody_listens_there() -> None:
    with trio.fail_after(SECONDS):
        client = HttpClient("web", BaseUrl.parse("http://127.0.0.1:1"))
        async with client.run():
            with pytest.raises(UpstreamError) as caught:
                await whole_answer(client)
    assert (caught.value.code, caught.value.http_status) == ("connection-failed", 502)
    assert "connection refused" in caught.value.detail
    assert not caught.value.asked


async def test_a_name_that_nobody_knows() -> None:
    with trio.fail_after(SECONDS):
        client = HttpClient("web", BaseUrl.parse("http://nobody.invalid"), timeouts=None)
        async with client.run():
            with pytest.raises(UpstreamError, match=r"no address of nobody\.invalid") as caught:
                await whole_answer(client)
    assert not caught.value.asked


async def test_an_origin_that_takes_nothing() -> None:
    async def script(visit: Visit) -> None:
        await visit.head()
        await trio.sleep_forever()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(100_000)

    async with asking(script, timeouts=IMPATIENT) as (client, _):
        with pytest.raises(UpstreamError) as caught:
            async with client.ask("POST", "/", body=endless()):
                pass
    assert (caught.value.code, caught.value.http_status) == ("peer-stalled", 504)


async def test_an_early_refusal_is_heard() -> None:
    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.send(whole(b"too much", 413, ("Connection", "close")))

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(100_000)
            await trio.lowlevel.checkpoint()

    async with asking(script) as (client, _):
        said: list[object] = []
        try:
            async with client.ask("POST", "/", body=endless()) as answer:
                said.append(answer.status)
        except UpstreamError as exc:
            said.append(exc.code)
    # A reset may overtake the answer: then it is a lost connection, never a success.
    assert said in ([413], ["connection-lost"])


async def test_a_body_that_fails_ends_the_request() -> None:
    class Broken(Exception):
        pass

    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        raise Broken

    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.gone()

    async with asking(script) as (client, peer):
        with pytest.raises(Broken):
            async with client.ask("POST", "/", body=body()):
                pass
        while not peer.gone:
            await trio.sleep(0.005)
    assert not peer.asked


@pytest.mark.parametrize("length", [3, 5])
async def test_a_body_of_another_length_than_given(length: int) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"four"

    async with asking(answering(whole(b"ok"))) as (client, _):
        with pytest.raises(RequestError):
            async with client.ask("PUT", "/", body=body(), length=length):
                pass


async def test_a_header_that_cannot_be_sent() -> None:
    async with asking(answering(whole(b"ok"))) as (client, peer):
        with pytest.raises(RequestError):
            async with client.ask("GET", "/", headers=(("x", "a\r\nb: c"),)):
                pass
        assert await whole_answer(client) == b"ok"
    assert len(peer.asked) == 1


async def test_requests_wait_for_a_connection_and_too_many_do_not() -> None:
    limits = ClientLimits(max_connections=1, max_waiting=1, wait_seconds=0.2)
    async with asking(answering(whole(b"ok")), limits=limits) as (client, _):
        async with client.ask("GET", "/"):
            async with trio.open_nursery() as nursery:

                async def wait() -> None:
                    with pytest.raises(Unavailable, match="busy for") as caught:
                        await whole_answer(client)
                    assert caught.value.http_status == 503

                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(Unavailable, match="wait for backend web already"):
                    await whole_answer(client)
        assert await whole_answer(client) == b"ok"


async def test_outside_of_run_nothing_is_asked() -> None:
    client = HttpClient("web", BaseUrl.parse("http://127.0.0.1:1"))
    with pytest.raises(Unavailable):
        await whole_answer(client)


@pytest.mark.parametrize("when", ["connecting", "waiting", "reading"])
async def test_cancelled_at_any_moment_the_connection_ends(when: str) -> None:
    async def script(visit: Visit) -> None:
        if when == "connecting":
            await trio.sleep_forever()
        await visit.asked()
        if when == "reading":
            await visit.send(head(200, ("Content-Length", "9")) + b"x")
        await visit.gone()

    async with asking(script) as (client, peer):
        with trio.move_on_after(0.2) as scope:
            await whole_answer(client)
        assert scope.cancelled_caught
        while when != "connecting" and not peer.gone:
            await trio.sleep(0.005)
        peer.script = answering(whole(b"ok"))
        assert await whole_answer(client) == b"ok"


# TLS


class Parties:
    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.server = self.authority.issue("127.0.0.1", name="server")
        self.folder = folder

    def listener(self, *, ask: bool = False) -> ssl.SSLContext:
        return server_context(
            ServerTls(
                cert_file=str(self.server.cert_file),
                key_file=str(self.server.key_file),
                ca_file=str(self.authority.ca_file),
                client_certificate="required" if ask else "none",
            ),
            self.folder,
        )

    def caller(
        self, ca_file: str | None = None, cert_file: str | None = None, key_file: str | None = None
    ) -> ssl.SSLContext:
        return client_context(
            ClientTls(
                ca_file=ca_file or str(self.authority.ca_file),
                cert_file=cert_file,
                key_file=key_file,
            ),
            self.folder,
        )


@pytest.fixture
def parties(tmp_path: Path) -> Parties:
    return Parties(tmp_path)


async def over_tls(
    listener: ssl.SSLContext | None, caller: ssl.SSLContext, server_name: str | None = None
) -> bytes:
    async def plain(visit: Visit) -> None:
        await visit.send(whole(b"", 400))
        await visit.gone()

    script = plain if listener is None else answering(whole(b"ok"))
    with trio.fail_after(SECONDS):
        async with origin(script, listener) as peer:
            url = BaseUrl.parse(f"https://127.0.0.1:{peer.port}")
            client = HttpClient("web", url, tls=caller, server_name=server_name)
            async with client.run():
                try:
                    return await whole_answer(client)
                except UpstreamError as exc:
                    error = exc  # and not in a group
        raise error


async def test_tls_with_an_authority_of_our_own(parties: Parties) -> None:
    assert await over_tls(parties.listener(), parties.caller()) == b"ok"


async def test_tls_with_a_certificate_of_ours(parties: Parties) -> None:
    ours = parties.authority.issue("harmony.test", name="ours")
    caller = parties.caller(cert_file=str(ours.cert_file), key_file=str(ours.key_file))
    assert await over_tls(parties.listener(ask=True), caller) == b"ok"


async def test_tls_that_fails_says_why(parties: Parties, tmp_path: Path) -> None:
    other = Authority(tmp_path, name="other")
    cases = [
        (parties.listener(), parties.caller(ca_file=str(other.ca_file)), None, "unknown authority"),
        (parties.listener(), parties.caller(), "other.test", "not for other.test"),
        (None, parties.caller(), None, "does not speak TLS"),
    ]
    for listener, caller, name, text in cases:
        with pytest.raises(UpstreamError, match=text) as caught:
            await over_tls(listener, caller, name)
        assert (caught.value.code, caught.value.retry) == ("tls-failed", Retry.NEVER)


async def test_an_origin_that_wants_a_certificate_says_so_late(parties: Parties) -> None:
    # trio's server would not send the alert.
    context = parties.listener(ask=True)

    def serve(listening: socket.socket) -> None:
        for _ in range(2):  # it is safe to repeat, and is
            accepted, _ = listening.accept()
            with accepted, pytest.raises(ssl.SSLError):
                context.wrap_socket(accepted, server_side=True)

    with trio.fail_after(SECONDS), socket.create_server(("127.0.0.1", 0)) as listening:
        url = BaseUrl.parse(f"https://127.0.0.1:{listening.getsockname()[1]}")
        client = HttpClient("web", url, tls=parties.caller())
        async with client.run(), trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, serve, listening)
            with pytest.raises(UpstreamError) as caught:
                await whole_answer(client)
            # A reset may overtake the alert.
            assert "certificate of ours" in f"{caught.value.detail} {caught.value.hint}"
            with contextlib.suppress(OSError), socket.create_connection(listening.getsockname()):
                pass  # a second visit, if there was none


async def test_the_scheme_and_the_context_go_together(parties: Parties) -> None:
    with pytest.raises(ValueError, match="goes with https"):
        HttpClient("web", BaseUrl.parse("http://pacs"), tls=parties.caller())
    with pytest.raises(ValueError, match="goes with https"):
        HttpClient("web", BaseUrl.parse("https://pacs"))
