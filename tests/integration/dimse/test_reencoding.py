"""Instances over real sockets to peers that take only the other little endian syntax."""

from __future__ import annotations

import functools
from io import BytesIO

import pytest
import trio
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from harmony.backends.storing import Storer
from harmony.dimse import contexts
from harmony.dimse.link import Proposal
from harmony.envelope import Instance, Stored, WholeBytes
from tests.support import dimse
from tests.support.archive import CT, data_set
from tests.support.bad_pacs import Accept, Script, bad_pacs
from tests.support.dcmtk import STUDY_ROOT, getscu
from tests.support.dicom_endpoint import dicom_endpoint
from tests.support.fake_backend import FakeBackend, gives
from tests.support.processes import accepts, free_port, program

SECONDS = 30
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


def data(syntax):
    code = Dataset()
    code.CodeValue, code.CodeMeaning = "1", "one"
    document = bytes(range(256)) * 1000
    return data_set(syntax, ProcedureCodeSequence=[code, code], EncapsulatedDocument=document)


def instance(syntax):
    return Instance(
        sop_class_uid=CT,
        sop_instance_uid="1.2.3.1.1",
        transfer_syntax=syntax,
        data=WholeBytes(data(syntax)),
        repeatable=True,
    )


def read(encoded, syntax):
    return read_dataset(
        BytesIO(encoded),
        is_implicit_VR=syntax == IMPLICIT,
        is_little_endian=True,
        bytelength=len(encoded),
    )


def same(file):
    """Whether it holds what was sent, in whatever syntax."""
    return list(dcmread(file)) == list(read(data(EXPLICIT), EXPLICIT))


async def send(instances, port, open_link):
    """The statuses that the peer there gave."""
    statuses = []

    async def body():
        for each in instances:
            yield each

    async def report(stored: Stored):
        statuses.append(stored.status)

    pool = dimse.pool(port, open_link)
    async with pool.run():
        await Storer(pool).store(body(), report)
    return statuses


@pytest.mark.parametrize("takes", [EXPLICIT, IMPLICIT])
async def test_a_peer_gets_all_in_the_one_syntax_that_it_takes(takes, open_link):
    script = Script(associate=(Accept(transfer_syntaxes=frozenset([takes])),))
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        statuses = await send([instance(EXPLICIT), instance(IMPLICIT)], peer.port, open_link)
        assert statuses == [0, 0]
        assert len(peer.connections) == 1
        assert [each.transfer_syntax for each in peer.requests] == [takes, takes]
        for each in peer.requests:
            assert read(each.data, takes) == read(data(takes), takes)


async def test_a_peer_that_takes_both_gets_the_very_bytes(open_link):
    with trio.fail_after(SECONDS), bad_pacs() as peer:
        assert await send([instance(IMPLICIT), instance(EXPLICIT)], peer.port, open_link) == [0, 0]
        assert [(each.transfer_syntax, each.data) for each in peer.requests] == [
            (syntax, data(syntax)) for syntax in (IMPLICIT, EXPLICIT)
        ]


async def test_storescp_for_implicit_vr_alone_writes_the_same_data_set(tmp_path, open_link):
    folder, port = tmp_path / "received", free_port()
    folder.mkdir()
    command = ["storescp", "--implicit", "--output-directory", folder, "--bit-preserving"]
    with trio.fail_after(SECONDS):
        with program([*command, str(port)], tmp_path / "log.txt") as running:
            running.wait_until(functools.partial(accepts, "127.0.0.1", port))
            assert await send([instance(EXPLICIT)], port, open_link) == [0]
    (file,) = folder.iterdir()
    assert same(file)


async def test_getscu_which_wants_explicit_vr_gets_the_same_data_set(tmp_path):
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2.3"}
    folder = tmp_path / "received"
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives(instance(IMPLICIT)))) as running:
            done = await getscu(running.called, STUDY_ROOT, keys, "--prefer-little", folder=folder)
    assert (done.code, done.status) == (0, 0), done.output
    (file,) = folder.iterdir()
    assert dcmread(file).file_meta.TransferSyntaxUID == EXPLICIT
    assert same(file)


# DCMTK's getscu proposes explicit VR even where it is told to take implicit VR alone.
@pytest.mark.parametrize(("has", "takes"), [(EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT)])
async def test_a_caller_of_get_that_takes_only_one_syntax_gets_the_same_data_set(has, takes):
    got = []

    async def take(item):
        nursery.start_soon(keep, item)

    async def keep(item):
        got.append((item.transfer_syntax, b"".join([chunk async for chunk in item.data])))

    proposals = [Proposal(uid, (EXPLICIT,)) for uid in contexts.GET.values()]
    proposals.append(Proposal(CT, (takes,), receive=True))
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives(instance(has)))) as running:
            async with running.call(proposals) as association, trio.open_nursery() as nursery:
                await association.get(dimse.query(), take)
    ((syntax, encoded),) = got
    assert syntax == takes
    assert read(encoded, takes) == read(data(takes), takes)
