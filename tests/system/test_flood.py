"""Connections by the thousand that ask for nothing, while and before a proper caller calls."""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path

import pytest
import trio

from tests.support.dcmtk import echoscu
from tests.support.deployment import pipeline, table
from tests.support.eventually import eventually

SECONDS = 110
HELD = 50
PROPER_CALLS = 5
AT_ONCE = 10
MOST_GROWTH = 24 * 1024 * 1024
# What callers that mean nothing good say before they go: nothing, the start of a PDU, no DICOM.
SAID = (b"", b"\x01", b"\x01\x00\x00", b"\x01\x00\x00\x00\x00\xff\x00\x01", b"GET / HTTP/1.1\r\n")
RESET = struct.pack("ii", 1, 0)  # close() sends RST


@pytest.fixture
def config(tmp_path, storescp):
    """A PACS of Harmony's own, with its default limits; `storescp` says if DCMTK is not here."""
    file = tmp_path / "config.toml"
    file.write_text(
        "[admin]\nport = 0\n"
        + pipeline("pacs", ["scp"], ["store"])
        + table("endpoints.scp", "dicom", local_aet="HARMONY", port=0)
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


@pytest.mark.parametrize(
    "count", [2_000, pytest.param(10_000, marks=pytest.mark.slow)], ids=["2,000", "10,000"]
)
async def test_callers_that_go_at_once_leave_nothing_behind(serve, config, count):
    with trio.fail_after(SECONDS):
        async with serve(config) as served:
            harmony = served.called("scp", "HARMONY")
            process = Process(served.process.pid)
            assert (await echoscu(harmony)).code == 0
            await flood(harmony, 200)  # caches are filled, lazy imports are done
            await eventually(lambda: not process.connections(harmony.port), seconds=20)
            assert (await echoscu(harmony)).code == 0
            before = process.descriptors()
            threads, memory = process.threads(), process.memory()

            await flood(harmony, count)

            await eventually(lambda: not process.connections(harmony.port), seconds=20)
            told = await echoscu(harmony)
            assert told.code == 0, told.output
            await eventually(lambda: process.descriptors() <= before, seconds=20)
            # trio keeps idle threads for some seconds.
            await eventually(lambda: process.threads() <= threads, seconds=20)
            assert process.memory() < memory + MOST_GROWTH


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


class Process:
    """What a process holds, as Linux tells it."""

    def __init__(self, pid):
        self._folder = Path(f"/proc/{pid}")

    def descriptors(self):
        return len(list((self._folder / "fd").iterdir()))

    def threads(self):
        return len(list((self._folder / "task").iterdir()))

    def memory(self):
        """Bytes that are resident."""
        status = (self._folder / "status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) * 1024

    def connections(self, port):
        """Inodes of the sockets that it still has of callers of this port."""
        lines = (self._folder / "net" / "tcp").read_text().splitlines()[1:]
        rows = [line.split() for line in lines]
        local, is_open = f":{port:04X}", ("01", "08")  # ESTABLISHED, CLOSE_WAIT
        return {row[9] for row in rows if row[1].endswith(local) and row[3] in is_open} - {"0"}
