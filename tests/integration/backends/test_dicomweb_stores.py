"""Stores of the `dicomweb` backend: stored is what the server says it has, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from harmony.dicom.store_response import Fate, response
from harmony.envelope import (
    Instance,
    Operation,
    Origin,
    RequestEnvelope,
    Stored,
)
from harmony.errors import UpstreamError
from tests.support.dicomweb_server import (
    CT,
    DATA,
    EXPLICIT,
    HTML,
    JSON,
    LOGIN,
    STORED,
    UID,
    Got,
    ask,
    before,
)
from tests.support.origin import Asked, Visit, by, head, whole


def of(*fates: tuple[str, int]) -> bytes:
    return response(
        Fate(sop_class_uid=CT, sop_instance_uid=uid, status=status) for uid, status in fates
    )


def statuses(got: Got) -> list[int | None]:
    """Of what was stored; None for what says nothing of it."""
    return [item.status if isinstance(item, Stored) else None for item in got.items]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (head(204), 0),
        (whole(of((UID, 0)), 202, JSON), 0),
        (whole(of((UID, 0xB007)), 202, JSON), 0xB007),
        (whole(of((UID, 0xA700)), 409, JSON), 0xA700),
        (whole(of((UID, 0xA700)), 200, JSON), 0xA700),
        (whole(of((UID, 0)), 409, JSON), 0xC000),
        (whole(of(("1.9", 0)), 200, JSON), 0xB000),
        (whole(of(("1.9", 0)), 409, JSON), 0xC000),
        (whole(LOGIN, 409, HTML), 0xC000),
        (whole(b"", 409), 0xC000),
        (whole(LOGIN, 500, HTML), 0xC000),
    ],
)
async def test_what_becomes_of_an_instance_is_what_the_server_says(
    answer: bytes, status: int
) -> None:
    async with before(by(lambda *_: answer)) as (pipeline, _):
        (stored,) = (await ask(pipeline, Operation.STORE)).items
    assert stored == Stored(sop_class_uid=CT, sop_instance_uid=UID, status=status)


@pytest.mark.parametrize(
    "answer",
    [
        whole(of(), 200, JSON),
        whole(of(("1.9", 0), ("1.8", 0)), 200, JSON),
        whole(of(("1.9", 0xA700)), 202, JSON),
        whole(STORED, 200, HTML),
        whole(STORED[:-2], 200, JSON),
        whole(b"x" * 2_000_000, 200, JSON),
        whole(STORED, 206, JSON),
    ],
)
async def test_a_success_that_proves_nothing_is_a_failure(answer: bytes) -> None:
    async with before(by(lambda *_: answer)) as (pipeline, _):
        with pytest.raises(UpstreamError):
            await ask(pipeline, Operation.STORE)


async def test_one_bad_instance_does_not_keep_the_others_back() -> None:
    def answer(asked: Asked, count: int) -> bytes:
        uid = f"1.2.{count}"
        assert uid.encode() in asked.body
        return whole(b"", 400) if count == 2 else whole(of((uid, 0)), 200, JSON)

    async with before(by(answer)) as (pipeline, server):
        got = await ask(pipeline, Operation.STORE, None, "1.2.1", "1.2.2", "1.2.3")
    assert statuses(got) == [0, 0xC000, 0]
    (first, *_) = server.asked
    assert first.method == "POST"
    assert str(first.get("content-type")).startswith('multipart/related; type="application/dicom"')
    assert DATA in first.body


async def test_a_store_goes_out_again_over_a_new_connection_if_the_kept_one_died() -> None:
    async def once(visit: Visit) -> None:
        asked = await visit.asked()
        if asked is not None and asked.method == "POST":
            await visit.send(whole(STORED, 200, JSON))  # and closes, without a word

    async with before(once) as (pipeline, server):
        for _ in range(3):
            assert statuses(await ask(pipeline, Operation.STORE)) == [0]
    assert len(server.asked) >= 3


async def test_a_body_that_fails_is_not_stored() -> None:
    class Broken(Exception):
        pass

    async def broken() -> AsyncIterator[bytes]:
        yield DATA
        raise Broken

    async def one() -> AsyncIterator[Instance]:
        yield Instance(
            sop_class_uid=CT, sop_instance_uid=UID, transfer_syntax=EXPLICIT, data=broken()
        )

    request = RequestEnvelope(
        id="r",
        operation=Operation.STORE,
        origin=Origin(pipeline="p", endpoint="e", caller="TESTER"),
        body=one(),
    )
    async with before(by(lambda *_: whole(STORED, 200, JSON))) as (pipeline, server):
        with pytest.raises(Broken):
            async with pipeline.exchange(request) as answered:
                async for _ in answered.items:
                    raise AssertionError("it looked stored")
    assert not server.asked
