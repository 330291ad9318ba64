"""DIMSE over TLS: with pynetdicom, Orthanc and DCMTK as peers, and with every fault of a set-up."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pydicom.data
import pytest
import trio
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from harmony.dimse import contexts
from harmony.dimse.connecting import accept_tls, connect
from harmony.dimse.link import Proposal
from harmony.dimse.pool import AssociationPool, OpenLink, PoolLimits
from harmony.dimse.target import Target
from harmony.envelope import Completion, Instance, Item, WholeBytes
from harmony.errors import Retry, UpstreamError
from harmony.tls.contexts import ClientTls, ServerTls, client_context, server_context
from harmony.tls.faults import inbound_tls_reason
from tests.support import dimse
from tests.support.bad_pacs import Close, Raw, Script, bad_pacs
from tests.support.bad_pacs.talk import Step
from tests.support.certificates import Authority, Identity, dcmtk_options
from tests.support.pacs import Pacs, ProcessPacs, available
from tests.support.storescp import storescp

SECONDS = 60
ROWS = 300
HERE = "127.0.0.1"
CT = Path(str(pydicom.data.get_testdata_file("CT_small.dcm", download=False)))
ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x00"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


@pytest.fixture
def server(authority: Authority) -> Identity:
    return authority.issue(HERE, name="server")


@pytest.fixture
def scu(authority: Authority) -> Identity:
    return authority.issue("scu.test", name="scu")


def calling(trusts: Authority, identity: Identity | None = None) -> ssl.SSLContext:
    options = ClientTls(ca_file=str(trusts.ca_file))
    if identity is not None:
        files = (str(identity.cert_file), str(identity.key_file))
        options = replace(options, cert_file=files[0], key_file=files[1])
    return client_context(options, Path("/"))


def answering(identity: Identity, callers_of: Authority | None = None) -> ssl.SSLContext:
    options = ServerTls(
        cert_file=str(identity.cert_file),
        key_file=str(identity.key_file),
        ca_file=None if callers_of is None else str(callers_of.ca_file),
        client_certificate="none" if callers_of is None else "required",
    )
    return server_context(options, Path("/"))


@contextlib.asynccontextmanager
async def associations(target: Target, open_link: OpenLink) -> AsyncIterator[AssociationPool]:
    pool = AssociationPool("pacs", target, PoolLimits(), open_link)
    async with pool.run():
        yield pool


# pynetdicom as the peer


@contextlib.contextmanager
def tls_peer(context: ssl.SSLContext) -> Iterator[int]:
    def answer(event: evt.Event) -> Iterator[tuple[int, object]]:
        for number in range(ROWS):
            yield 0xFF00, dimse.row(number)

    ae = AE("PACS")
    ae.add_supported_context(Verification)
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    server = ae.start_server(
        (HERE, 0), block=False, ssl_context=context, evt_handlers=[(evt.EVT_C_FIND, answer)]
    )
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        ae.shutdown()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # pynetdicom leaves sockets to the collector
async def test_echoes_and_finds_over_tls(
    open_link: OpenLink, authority: Authority, server: Identity, scu: Identity
) -> None:
    seen: list[Item] = []

    async def take(item: Item) -> None:
        seen.append(item)

    with trio.fail_after(SECONDS), tls_peer(answering(server, authority)) as port:
        target = dimse.target(port, tls=calling(authority, scu))
        async with associations(target, open_link) as pool:
            for _ in range(5):
                async with pool.borrow("q", contexts.for_queries) as association:
                    await association.echo()
                await trio.sleep(0.1)
            async with pool.borrow("q", contexts.for_queries) as association:
                outcome = await association.find(dimse.query(), take)
    assert outcome.completion is Completion.COMPLETE
    assert len(seen) == ROWS


# Our own two ends


@contextlib.asynccontextmanager
async def listening(
    context: ssl.SSLContext,
) -> AsyncIterator[tuple[int, list[str]]]:
    """A port where `accept_tls` answers; with the words for what has failed there."""
    words: list[str] = []

    async def serve(stream: trio.SocketStream) -> None:
        sock = socket.socket(fileno=stream.socket.detach())
        try:
            tls = await accept_tls(sock, context)
        except OSError as exc:
            words.append(inbound_tls_reason(exc)[0])
        else:
            words.append(tls.version() or "")
            tls.close()

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host=HERE)
        async with listener:
            nursery.start_soon(trio.serve_listeners, serve, [listener])
            yield listener.socket.getsockname()[1], words
            with trio.fail_after(SECONDS):
                while not words:
                    await trio.sleep(0.005)
            nursery.cancel_scope.cancel()


async def test_our_two_ends_agree_on_tls_1_3(
    authority: Authority, server: Identity, scu: Identity
) -> None:
    with trio.fail_after(SECONDS):
        async with listening(answering(server, authority)) as (port, words):
            sock = await connect(dimse.target(port, tls=calling(authority, scu)))
            assert isinstance(sock, ssl.SSLSocket)
            sock.close()
    assert words == ["TLSv1.3"]


@pytest.mark.parametrize(
    ("host", "server_name", "fails"),
    [
        ("pacs.test", "pacs.test", None),
        ("pacs.test", None, f"its certificate is not for {HERE}"),
        (HERE, "pacs.test", "its certificate is not for pacs.test"),
    ],
)
async def test_the_certificate_must_be_for_the_server_name_else_for_the_host(
    authority: Authority, host: str, server_name: str | None, fails: str | None
) -> None:
    identity = authority.issue(host, name="named")
    with trio.fail_after(SECONDS):
        async with listening(answering(identity)) as (port, words):
            target = dimse.target(port, tls=calling(authority), server_name=server_name)
            if fails is None:
                (await connect(target)).close()
            else:
                with pytest.raises(UpstreamError) as caught:
                    await connect(target)
                assert caught.value.detail == f"TLS with PACS@{HERE}:{port} failed: {fails}"
    assert words == ["TLSv1.3" if fails is None else "own-certificate"]


@pytest.mark.parametrize("expired", [False, True], ids=["unknown authority", "expired"])
async def test_a_certificate_fault_is_final_and_nothing_was_asked(
    authority: Authority, tmp_path: Path, expired: bool
) -> None:
    issuer = authority if expired else Authority(tmp_path / "other")
    identity = issuer.issue(HERE, name="faulty", expired=expired)
    with trio.fail_after(SECONDS):
        async with listening(answering(identity)) as (port, words):
            with pytest.raises(UpstreamError) as caught:
                await connect(dimse.target(port, tls=calling(authority)))
    error = caught.value
    assert (error.code, error.http_status) == ("tls-failed", 502)
    assert (error.retry, error.asked) == (Retry.NEVER, False)
    assert ("expired" if expired else "unknown authority") in error.detail
    assert words == ["own-certificate"]


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (b"\x01\x00\x00\x00\x00\xcd" + bytes(64), "not-tls"),
        (b"GET / HTTP/1.1\r\n\r\n", "not-tls"),
        (b"\x16\x03\x01", "closed-by-caller"),
        (b"", "closed-by-caller"),
    ],
    ids=["A-ASSOCIATE-RQ", "HTTP", "three bytes", "nothing"],
)
async def test_a_caller_that_speaks_no_tls_is_told_apart(
    server: Identity, said: bytes, word: str
) -> None:
    with trio.fail_after(SECONDS):
        async with listening(answering(server)) as (port, words):
            stream = await trio.open_tcp_stream(HERE, port)
            if said:
                await stream.send_all(said)
            await stream.aclose()
    assert words == [word]


async def test_a_silent_caller_is_left_when_cancelled(server: Identity) -> None:
    ours, theirs = socket.socketpair()
    with theirs, trio.fail_after(SECONDS):
        with trio.move_on_after(0.1) as scope:
            await accept_tls(ours, answering(server))
        assert scope.cancelled_caught
        theirs.settimeout(SECONDS)
        assert theirs.recv(1) == b""  # closed


async def test_a_caller_that_is_gone_already_is_an_error_and_leaves_no_socket(
    server: Identity,
) -> None:
    with socket.create_server((HERE, 0)) as listener:
        gone = socket.create_connection(listener.getsockname())
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # RST
        gone.close()
        sock, _ = listener.accept()
    with trio.fail_after(SECONDS), pytest.raises(OSError) as caught:  # noqa: PT011
        await accept_tls(sock, answering(server))
    assert inbound_tls_reason(caught.value)[0] == "closed-by-caller"
    assert sock.fileno() == -1


# A peer that speaks plain DICOM


@pytest.mark.parametrize(
    ("steps", "text", "retry"),
    [
        ((Raw(ABORT), Close()), "it does not speak TLS there", Retry.NEVER),
        ((Close(),), "it closed the connection", Retry.LATER),
    ],
    ids=["aborts", "closes"],
)
async def test_tls_to_a_plain_port_says_so(
    authority: Authority, steps: tuple[Step, ...], text: str, retry: Retry
) -> None:
    with trio.fail_after(SECONDS), bad_pacs(Script(connect=steps)) as peer:
        with pytest.raises(UpstreamError) as caught:
            await connect(dimse.target(peer.port, dimse.IMPATIENT, tls=calling(authority)))
    assert text in caught.value.detail
    assert "`use_tls = false`" in str(caught.value.hint)
    assert caught.value.retry is retry


# A certificate of ours that the peer wants, or wants no more: TLS 1.3 tells it late


async def no_association(target: Target, open_link: OpenLink) -> UpstreamError:
    async with associations(target, open_link) as pool:
        with pytest.raises(UpstreamError) as caught:
            async with pool.borrow("q", contexts.for_queries):
                pass
    return caught.value


def assert_final(error: UpstreamError, text: str) -> None:
    assert text in error.detail
    assert (error.code, error.retry, error.asked) == ("tls-failed", Retry.NEVER, False)
    assert "`tls.cert_file`" in str(error.hint)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # pynetdicom leaves sockets to the collector
@pytest.mark.parametrize(
    ("issuer", "text"),
    [
        (None, "it wants a certificate of ours"),
        ("other", "it refused our certificate"),
        ("expired", "it refused our certificate"),
    ],
)
async def test_our_certificate_is_missing_or_refused(
    open_link: OpenLink,
    authority: Authority,
    server: Identity,
    tmp_path: Path,
    issuer: str | None,
    text: str,
) -> None:
    ours = None
    if issuer == "other":
        ours = Authority(tmp_path / "other").issue("scu.test", name="scu")
    elif issuer == "expired":
        ours = authority.issue("scu.test", name="scu", expired=True)
    with trio.fail_after(SECONDS), tls_peer(answering(server, authority)) as port:
        target = dimse.target(port, tls=calling(authority, ours))
        assert_final(await no_association(target, open_link), text)


async def test_orthanc_wants_a_certificate_of_ours(
    open_link: OpenLink, tls_orthanc: Callable[..., ProcessPacs], tmp_path: Path
) -> None:
    pacs = tls_orthanc(client_certificate=True)
    with trio.fail_after(SECONDS):
        error = await no_association(of_orthanc(pacs, tmp_path, identified=False), open_link)
    assert_final(error, "it wants a certificate of ours")


@pytest.mark.usefixtures("storescp")  # for its absence to be told
async def test_dcmtk_wants_a_certificate_of_ours(
    open_link: OpenLink, authority: Authority, server: Identity, tmp_path: Path
) -> None:
    options = dcmtk_options(server, authority.ca_file)
    with trio.fail_after(SECONDS), storescp(tmp_path / "scp", tls=options) as peer:
        target = dimse.target(peer.port, aet=peer.ae_title, tls=calling(authority))
        error = await no_association(target, open_link)
    assert_final(error, "it wants a certificate of ours")


# Orthanc


@pytest.fixture
def tls_orthanc(pacs: Pacs, tmp_path: Path) -> Iterator[Callable[..., ProcessPacs]]:
    """Starts an Orthanc whose DICOM port speaks TLS."""
    if "process" not in available():
        pytest.skip(f"the PACS runs at {pacs.host}; with TLS it must run here")
    with contextlib.ExitStack() as running:
        yield lambda **options: running.enter_context(
            ProcessPacs(tmp_path / "pacs", tls=True, **options)
        )


def of_orthanc(pacs: ProcessPacs, root: Path, *, identified: bool) -> Target:
    folder = root / "pacs" / "tls"
    options = ClientTls(ca_file="ca.crt")
    if identified:
        options = replace(options, cert_file="harmony.crt", key_file="harmony.key")
    context = client_context(options, folder)
    return dimse.target(pacs.port, aet=pacs.ae_title, tls=context)


async def test_orthanc_is_queried_over_tls(
    open_link: OpenLink, tls_orthanc: Callable[..., ProcessPacs], tmp_path: Path
) -> None:
    pacs = tls_orthanc(client_certificate=True)
    pacs.load([CT])
    seen: list[Item] = []

    async def take(item: Item) -> None:
        seen.append(item)

    with trio.fail_after(SECONDS):
        target = of_orthanc(pacs, tmp_path, identified=True)
        async with associations(target, open_link) as pool:
            async with pool.borrow("q", contexts.for_queries) as association:
                await association.echo()
                outcome = await association.find(dimse.query(uid=""), take)
    assert outcome.completion is Completion.COMPLETE
    assert len(seen) == 1


# DCMTK


@pytest.mark.usefixtures("storescp")  # for its absence to be told
async def test_an_object_is_stored_over_tls(
    open_link: OpenLink, authority: Authority, server: Identity, scu: Identity, tmp_path: Path
) -> None:
    sent = dimse.instance(300_000)
    instance = Instance(
        sop_class_uid=sent.sop_class,
        sop_instance_uid=sent.sop_instance,
        transfer_syntax=sent.transfer_syntax,
        data=WholeBytes(sent.data),
    )

    def offered() -> tuple[Proposal, ...]:
        return contexts.for_store([(sent.sop_class, sent.transfer_syntax)])

    options = dcmtk_options(server, authority.ca_file)
    with trio.fail_after(SECONDS), storescp(tmp_path / "scp", tls=options) as peer:
        target = dimse.target(peer.port, aet=peer.ae_title, tls=calling(authority, scu))
        async with associations(target, open_link) as pool:
            async with pool.borrow("s", offered) as association:
                stored = await association.store(instance)
        assert stored.status == 0x0000
        (file,) = peer.files()
        assert file.read_bytes().endswith(sent.data)
