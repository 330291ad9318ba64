"""A real PACS that dies, hangs or is cut off: told truthfully, and forgotten afterwards."""

from __future__ import annotations

import httpx2
import pytest
import trio

from tests.support.eventually import eventually
from tests.support.gateway import gateway
from tests.support.studies import Plan, write_studies

pytestmark = pytest.mark.usefixtures("engine")

SECONDS = 60
IMPATIENT = {
    "connect_seconds": 1.0,
    "associate_seconds": 1.0,
    "echo_seconds": 1.0,
    "find_first_seconds": 1.0,
    "find_next_seconds": 1.0,
    "release_seconds": 0.5,
}
ASKED = {"query_level": "STUDY"}


def before(pacs, **options):
    return gateway(
        host=pacs.host,
        port=pacs.port,
        aet=pacs.ae_title,
        options={"timeouts": IMPATIENT, **options},
    )


async def statuses(client):
    """Of an echo and of a find."""
    echo = await client.post("/echo")
    find = await client.post("/find", json=ASKED)
    for answer in (echo, find):
        if answer.status_code != 200:
            assert answer.headers["content-type"] == "application/problem+json"
    return echo.status_code, find.status_code


async def until_it_works(client):
    while await statuses(client) != (200, 200):
        await trio.sleep(0.05)


# With an association held, the fault is met on that one; without, on the way to a new one.
held = pytest.mark.parametrize("keep", [2, 0], ids=["held", "new"])


@held
async def test_killed_and_started_again(faulty_pacs, keep):
    with trio.fail_after(SECONDS):
        async with before(faulty_pacs, keep_associations=keep) as running:
            assert await statuses(running.client) == (200, 200)
            faulty_pacs.kill()
            assert await statuses(running.client) == (502, 502)
            faulty_pacs.start()
            assert await statuses(running.client) == (200, 200)


@held
async def test_started_again_between_two_requests_nobody_notices(faulty_pacs, keep):
    with trio.fail_after(SECONDS):
        async with before(faulty_pacs, keep_associations=keep) as running:
            assert await statuses(running.client) == (200, 200)
            faulty_pacs.kill()
            faulty_pacs.start()
            assert await statuses(running.client) == (200, 200)


@held
async def test_frozen_and_thawed(faulty_pacs, keep):
    with trio.fail_after(SECONDS):
        async with before(faulty_pacs, keep_associations=keep) as running:
            assert await statuses(running.client) == (200, 200)
            faulty_pacs.freeze()
            assert await statuses(running.client) == (504, 504)
            faulty_pacs.thaw()
            await until_it_works(running.client)


@pytest.mark.parametrize(("how", "status"), [("drop", 504), ("reset", 502), ("unplug", 504)])
async def test_cut_off_and_healed(faulty_pacs, how, status):
    with trio.fail_after(SECONDS):
        async with before(faulty_pacs, keep_associations=0) as running:
            assert await statuses(running.client) == (200, 200)
            faulty_pacs.cut(how)
            assert await statuses(running.client) == (status, status)
            faulty_pacs.heal()
            await until_it_works(running.client)


async def test_killed_in_the_middle_of_a_get_the_body_breaks_off(faulty_pacs, tmp_path):
    made = write_studies(Plan(instances=4), tmp_path / "made")
    faulty_pacs.load(one.file for one in made)
    asked = {"study_instance_uid": made[0].study_uid}
    with trio.fail_after(SECONDS):
        async with before(faulty_pacs, maximum_pdu=16384) as running:
            faulty_pacs.cut("slow")  # 2 MB take a minute now
            with pytest.raises(httpx2.RemoteProtocolError):
                async with running.client.stream("POST", "/get", json=asked) as answer:
                    assert answer.status_code == 200
                    async for _ in answer.aiter_raw():
                        faulty_pacs.kill()
            faulty_pacs.heal()
            faulty_pacs.start()
            await eventually(lambda: running.backend.usage().busy == 0)
            assert await statuses(running.client) == (200, 200)
            whole = await running.client.post("/get", json=asked)
            assert whole.status_code == 200
            assert len(whole.content) > sum(one.file.stat().st_size for one in made) - 4096
