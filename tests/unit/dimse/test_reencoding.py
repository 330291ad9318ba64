"""Instances to peers that take only the other little endian syntax: out by C-STORE and C-GET."""

from __future__ import annotations

import dataclasses
import itertools
from io import BytesIO

import pytest
import trio
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence

from harmony.dicom.status_codes import CLASS_NOT_SUPPORTED, SUCCESS
from harmony.dimse import contexts
from harmony.dimse.association import Association
from harmony.dimse.link import Context, Proposal, Role
from harmony.dimse.provider import Answer, Call, Retrieval
from harmony.envelope import Encoded, Instance, WholeBytes
from harmony.errors import RequestError, UpstreamError
from harmony.upper_layer.commands import CommandField
from tests.support import scripted_link
from tests.support.archive import encoded
from tests.support.scripted_link import CONTEXTS, CT, ScriptedLink, target
from tests.support.served import STORE_ID, Caller, FakeProvider, get, served, stored

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
BIG, JPEG = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.50"
MR = "1.2.840.10008.5.1.4.1.1.4"
STORED = scripted_link.Answer(field=CommandField.C_STORE_RSP, status=0)
UNREAD = b"no data set."
BOTH_WAYS = ((EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT))


def image() -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodeMeaning = "1", "one"
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CT, "1.2.3"
    ds.ProcedureCodeSequence = Sequence([code, Dataset()])
    ds.PatientName = "Doe^Jane"
    ds.Rows, ds.PixelRepresentation = 2, 1
    ds.SmallestImagePixelValue = -5
    ds["SmallestImagePixelValue"].VR = "SS"
    ds.add_new(0x7FE00010, "OW", bytes(range(256)) * 400)
    return ds


def instance(syntax: str, data: bytes | None = None) -> Instance:
    return Instance(
        sop_class_uid=CT,
        sop_instance_uid="1.2.3",
        transfer_syntax=syntax,
        data=WholeBytes(encoded(image(), syntax) if data is None else data),
        repeatable=True,
    )


def read(data: bytes | None, syntax: str) -> Dataset:
    assert data is not None
    return read_dataset(
        BytesIO(data),
        is_implicit_VR=syntax == IMPLICIT,
        is_little_endian=True,
        bytelength=len(data),
    )


def peer(*syntaxes: str) -> ScriptedLink:
    """One that takes CT images in these."""
    accepted = {2 * i + 1: Context(2 * i + 1, CT, each) for i, each in enumerate(syntaxes)}
    return ScriptedLink([STORED], accepted)


# C-STORE


@pytest.mark.parametrize(("has", "takes"), BOTH_WAYS)
async def test_a_peer_that_takes_only_the_other_syntax_gets_the_same_data_set(has, takes):
    link = peer(takes)
    association = Association(link, target())
    assert association.accepts(CT, has)
    assert (await association.store(instance(has))).status == SUCCESS
    assert read(link.sent[0].data, takes) == image()
    assert association.is_reusable


@pytest.mark.parametrize(("has", "takes"), list(itertools.product((EXPLICIT, IMPLICIT), BOTH_WAYS)))
async def test_a_peer_that_takes_both_gets_the_very_bytes(has, takes):
    link = peer(*takes)
    await Association(link, target()).store(instance(has, UNREAD))
    assert link.contexts[link.sent[0].context_id].transfer_syntax == has
    assert link.sent[0].data == UNREAD


@pytest.mark.parametrize("has", [BIG, JPEG])
async def test_other_syntaxes_are_not_touched_but_refused(has):
    association = Association(peer(EXPLICIT, IMPLICIT), target())
    assert not association.accepts(CT, has)
    with pytest.raises(UpstreamError):
        await association.store(instance(has, b"pixels"))


async def test_another_class_in_the_other_syntax_does_not_help():
    assert not Association(peer(IMPLICIT), target()).accepts(MR, EXPLICIT)


async def test_a_damaged_instance_is_not_ended_as_if_it_were_whole():
    link = peer(IMPLICIT)
    association = Association(link, target())
    with pytest.raises(RequestError) as caught:
        await association.store(instance(EXPLICIT, encoded(image(), EXPLICIT)[:-2]))
    assert caught.value.code == "unreadable-instance"
    assert link.hung_up
    assert not association.is_reusable


# What is proposed


@pytest.mark.parametrize(
    ("wanted", "proposed"),
    [
        ([(CT, EXPLICIT)], [(CT, EXPLICIT), (CT, IMPLICIT)]),
        ([(CT, IMPLICIT)], [(CT, IMPLICIT), (CT, EXPLICIT)]),
        ([(CT, IMPLICIT), (CT, EXPLICIT)], [(CT, IMPLICIT), (CT, EXPLICIT)]),
        ([(CT, JPEG), (CT, BIG)], [(CT, JPEG), (CT, BIG)]),
        (
            [(CT, EXPLICIT), (MR, JPEG), (MR, IMPLICIT)],
            [(CT, EXPLICIT), (MR, JPEG), (MR, IMPLICIT), (CT, IMPLICIT), (MR, EXPLICIT)],
        ),
    ],
)
def test_each_alternative_has_a_context_of_its_own_behind_what_is_wanted(wanted, proposed):
    assert contexts.for_store(wanted) == tuple(Proposal(uid, (each,)) for uid, each in proposed)


def test_what_is_wanted_is_proposed_where_there_is_no_room_for_alternatives():
    wanted = [(f"1.2.{number}", EXPLICIT) for number in range(130)]
    assert contexts.for_store(wanted) == tuple(
        Proposal(uid, (EXPLICIT,)) for uid, _ in wanted[: contexts.MAX_CONTEXTS]
    )
    some = contexts.for_store(wanted[:100])
    assert len(some) == contexts.MAX_CONTEXTS
    assert some[100] == Proposal("1.2.0", (IMPLICIT,))


# C-GET sub-operations


def caller(*syntaxes: str) -> Caller:
    """One that takes CT images in these, in a C-GET."""
    session = Caller(roles={CT: Role(scu=True, scp=True)})
    accepted = {STORE_ID + 2 * i: Context(STORE_ID + 2 * i, CT, s) for i, s in enumerate(syntaxes)}
    session.contexts = {**CONTEXTS, **accepted}
    session.on_store = lambda sent: dataclasses.replace(stored(), context_id=sent.context_id)
    return session


def source(*instances: Instance) -> tuple[FakeProvider, list[int]]:
    """Sends these to whoever asks, and notes the statuses."""
    statuses: list[int] = []

    async def send(call: Call, identifier: Encoded, retrieval: Retrieval) -> Answer:
        for each in instances:
            statuses.append(await retrieval.store(each))
        return Answer(status=SUCCESS)

    return FakeProvider(on_retrieve=send), statuses


@pytest.mark.parametrize(("has", "takes"), BOTH_WAYS)
async def test_a_caller_of_get_is_sent_the_syntax_that_it_takes(has, takes):
    session = caller(takes)
    provider, statuses = source(instance(has))
    with trio.fail_after(5):
        async with served(session, provider):
            sent, answer = await session.ask(get())
    assert statuses == [SUCCESS]
    assert answer.command.status == SUCCESS
    assert read(sent.data, takes) == image()


async def test_a_caller_of_get_that_takes_both_is_sent_the_very_bytes():
    session = caller(IMPLICIT, EXPLICIT)
    provider, _ = source(instance(EXPLICIT))
    with trio.fail_after(5):
        async with served(session, provider):
            sent, _ = await session.ask(get())
    assert sent.data == encoded(image(), EXPLICIT)


async def test_a_caller_of_get_is_not_sent_compressed_data_that_it_does_not_take():
    session = caller(EXPLICIT, IMPLICIT)
    provider, statuses = source(instance(JPEG, b"pixels"))
    with trio.fail_after(5):
        async with served(session, provider):
            (answer,) = await session.ask(get())
    assert statuses == [CLASS_NOT_SUPPORTED]
    assert answer.command.field == CommandField.C_GET_RSP


async def test_a_damaged_instance_breaks_a_get_off():
    session = caller(IMPLICIT)
    provider, _ = source(instance(EXPLICIT, encoded(image(), EXPLICIT)[:-2]))
    with trio.fail_after(5):
        async with served(session, provider):
            assert await session.ask(get()) == []
    assert session.aborted
