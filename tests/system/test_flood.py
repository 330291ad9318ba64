"""Callers by the thousand that drop their connections, while and before a proper one calls."""

from __future__ import annotations

import contextlib
import socket
import struct

import pytest
import trio

from harmony.dimse.engines import Engine
from tests.support import engines
from tests.support.dcmtk import echoscu
from tests.support.deployment import pipeline, table
from tests.support.eventually import eventually
from tools.bench.ending import drop
from tools.bench.holding import Called
from tools.bench.processes import Process

SECONDS = 110
HELD = 50
PROPER_CALLS = 5
AT_ONCE = 10
MOST_GROWTH = 24 * 1024 * 1024
# What callers that mean nothing good say before they go: nothing, the start of a PDU, no DICOM.
SAID = (b"", b"\x01", b"\x01\x00\x00", b"\x01\x00\x00\x00\x00\xff\x00\x01", b"GET / HTTP/1.1\r\n")
# For callers of one title at one address, of whom some are only just going.
ROOMY = {
    "max_associations": 100,
    "max_associations_per_aet": 100,
    "max_connections_per_address": 100,
}
RESET = struct.pack("ii", 1, 0)  # close() sends RST


@pytest.fixture(autouse=True)
def _dcmtk(storescp):
    """Says so if DCMTK is not here."""


@pytest.fixture
def config(tmp_path):
    """A PACS of Harmony's own, with its default limits."""
    return written(tmp_path)


def written(folder, **options):
    """The configuration of an archive, its endpoint with these options."""
    file = folder / "config.toml"
    file.write_text(
        "[admin]\nport = 0\n"
        + pipeline("pacs", ["scp"], ["store"])
        + table("endpoints.scp", "dicom", local_aet="HARMONY", port=0, **options)
        + table("backends.store", "archive", folder="archive")
    )
    return file


@pytest.mark.parametrize("spread", [False, True], ids=["one address", "many addresses"])
async def test_a_proper_echo_is_answered_while_others_send_three_bytes_and_wait(
    serve, config, spread
):
    with trio.fail_after(SECONDS):
        async with serve(config) as served, contextlib.AsyncExitStack() as held:
            harmony = served.called("scp", "HARMONY")
            for number in range(HELD):
                source = f"127.0.1.{number + 1}" if spread else harmony.host
                sock = held.enter_context(socket.socket())
                sock.bind((source, 0))
                sock.connect((harmony.host, harmony.port))
                sock.sendall(b"\x01\x00\x00")
            for _ in range(PROPER_CALLS):
                told = await echoscu(harmony, seconds=1)
                assert told.code == 0, told.output


async def flood(called, count):
    """So many connections, some at one time, each dropped once it has said its word."""

    async def some(share):
        for number in range(share):
            with trio.socket.socket() as sock:
                try:
                    await sock.connect((called.host, called.port))
                    await sock.send(SAID[number % len(SAID)] or b"\x01")
                except OSError:
                    continue  # there were too many at that moment
                if number % 2:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(some, count // AT_ONCE)


MANY = pytest.mark.parametrize(
    "count", [2_000, pytest.param(10_000, marks=pytest.mark.slow)], ids=["2,000", "10,000"]
)


@MANY
async def test_callers_that_go_at_once_leave_nothing_behind(serve, config, count):
    await assert_nothing_is_left(serve, config, flood, count)


@MANY
async def test_associations_that_are_dropped_leave_nothing_behind(serve, tmp_path, count):
    await assert_nothing_is_left(serve, written(tmp_path, **ROOMY), drop_associations, count)


@pytest.mark.slow  # trio keeps idle threads for ten seconds
async def test_associations_that_are_dropped_leave_pynetdicom_no_threads(serve, tmp_path):
    with engines.tested(Engine.PYNETDICOM):
        config = written(tmp_path, **ROOMY)
    await assert_nothing_is_left(serve, config, drop_associations, 500)


async def drop_associations(called, count):
    """So many associations, each dropped in one of several ways once it was accepted."""
    await drop(Called(called.host, called.port, called.aet), count)


async def assert_nothing_is_left(serve, config, caller, count):
    with trio.fail_after(SECONDS):
        async with serve(config) as served:
            harmony = served.called("scp", "HARMONY")
            process = Process(served.process.pid)
            assert (await echoscu(harmony)).code == 0
            await caller(harmony, 200)  # caches are filled, lazy imports are done
            await eventually(lambda: not process.connections(harmony.port), seconds=20)
            assert (await echoscu(harmony)).code == 0
            before = process.descriptors()
            threads, memory = process.threads(), process.memory()

            await caller(harmony, count)

            await eventually(lambda: not process.connections(harmony.port), seconds=20)
            told = await echoscu(harmony)
            assert told.code == 0, told.output
            await eventually(lambda: process.descriptors() <= before, seconds=20)
            # trio keeps idle threads for some seconds.
            await eventually(lambda: process.threads() <= threads, seconds=20)
            assert process.memory() < memory + MOST_GROWTH
