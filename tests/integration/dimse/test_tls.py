"""DIMSE over TLS, against pynetdicom as the peer."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator

import pytest
import trio
import trustme
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from harmony.dimse import contexts
from harmony.dimse.pool import AssociationPool, OpenLink, PoolLimits
from harmony.envelope import Completion
from tests.support import dimse

ROWS = 300


@contextlib.contextmanager
def tls_peer(authority: trustme.CA) -> Iterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def answer(event: evt.Event) -> Iterator[tuple[int, object]]:
        for number in range(ROWS):
            yield 0xFF00, dimse.row(number)

    ae = AE("PACS")
    ae.add_supported_context(Verification)
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    server = ae.start_server(
        ("127.0.0.1", 0),
        block=False,
        ssl_context=context,
        evt_handlers=[(evt.EVT_C_FIND, answer)],
    )
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        ae.shutdown()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # pynetdicom leaves sockets to the collector
async def test_echoes_and_finds_over_tls(open_link: OpenLink) -> None:
    authority = trustme.CA()
    client = ssl.create_default_context()
    authority.configure_trust(client)
    seen: list[object] = []

    async def take(item: object) -> None:
        seen.append(item)

    with trio.fail_after(60), tls_peer(authority) as port:
        pool = AssociationPool("pacs", dimse.target(port, tls=client), PoolLimits(), open_link)
        async with pool.run():
            for _ in range(5):
                async with pool.borrow("q", contexts.for_queries) as association:
                    await association.echo()
                await trio.sleep(0.1)
            async with pool.borrow("q", contexts.for_queries) as association:
                outcome = await association.find(dimse.query(), take)
    assert outcome.completion is Completion.COMPLETE
    assert len(seen) == ROWS
