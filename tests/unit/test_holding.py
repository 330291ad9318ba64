"""What is held can be read by several, at once and again, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tracemalloc
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from harmony import holding
from harmony.envelope import Instance, StreamBroken
from harmony.errors import RequestError, Unavailable
from harmony.holding import Holding, whole_if_small
from tests.support.fake_backend import Once, instance

KILOBYTE = 1024
CHUNK = bytes(range(256)) * 1024  # 256 KiB


def of(data):
    return Instance(
        sop_class_uid="1.2", sop_instance_uid="1.2.3", transfer_syntax="1.2.840", data=data
    )


async def read(held):
    return b"".join([chunk async for chunk in held.data])


def descriptors():
    """What each open descriptor is; without the one that the listing itself needs."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


class Gated:
    """Gives one chunk, and the others once it may."""

    def __init__(self, *chunks):
        self._chunks = list(chunks)
        self._first = True
        self.open = trio.Event()

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self._first:
            await self.open.wait()
        self._first = False
        if not self._chunks:
            raise StopAsyncIteration
        return self._chunks.pop(0)


@pytest.fixture
def no_descriptor_left():
    before = descriptors()
    yield
    assert descriptors().keys() - before.keys() == set()


pytestmark = pytest.mark.usefixtures("no_descriptor_left")


async def test_what_can_be_repeated_is_given_as_it_is():
    given = instance()
    async with Holding(None, 0).hold(given) as held:
        assert held is given


async def test_a_small_instance_needs_no_file(tmp_path):
    async with Holding(tmp_path / "missing", 10).hold(of(Once(b"12345", b"67890"))) as held:
        assert held.repeatable
        assert held.size == 10
        assert [await read(held), await read(held)] == [b"1234567890"] * 2


async def test_a_large_instance_is_read_by_several_and_again(tmp_path):
    chunks = [bytes([n]) * (100_000 + n) for n in range(20)]
    got = []

    async def reader(held):
        got.append(await read(held))

    async with Holding(tmp_path, KILOBYTE).hold(of(Once(*chunks))) as held:
        assert held.repeatable
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(reader, held)
        got.append(await read(held))
    assert got == [b"".join(chunks)] * 4


async def test_its_file_has_no_name_and_is_for_this_user_alone(tmp_path):
    async with Holding(tmp_path, KILOBYTE).hold(of(Once(CHUNK))) as held:
        await read(held)
        assert os.listdir(tmp_path) == []
        files = [fd for fd, path in descriptors().items() if path.startswith(str(tmp_path))]
        assert [stat.S_IMODE(os.fstat(fd).st_mode) for fd in files] == [0o600]


async def test_a_reader_follows_what_still_arrives(tmp_path):
    source = Gated(CHUNK, CHUNK)
    with trio.fail_after(10):
        async with Holding(tmp_path, KILOBYTE).hold(of(source)) as held:
            data = aiter(held.data)
            first = await anext(data)
            assert CHUNK.startswith(first)
            source.open.set()
            rest = b"".join([chunk async for chunk in data])
    assert first + rest == CHUNK * 2


@pytest.mark.parametrize("failure", [RequestError("cut"), OSError("gone"), StreamBroken("x")])
async def test_a_source_that_fails_breaks_every_reader_and_tells_why_at_the_end(tmp_path, failure):
    broken = 0

    async def reader(held):
        nonlocal broken
        try:
            await read(held)
        except StreamBroken:
            broken += 1

    with pytest.raises(type(failure)) as caught:
        async with Holding(tmp_path, KILOBYTE).hold(of(Once(CHUNK, failure=failure))) as held:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reader, held)
                nursery.start_soon(reader, held)
    assert caught.value is failure
    assert broken == 2


async def test_the_source_s_failure_goes_before_what_it_led_to(tmp_path):
    failure = RequestError("cut")
    with pytest.raises(RequestError) as caught:
        async with Holding(tmp_path, KILOBYTE).hold(of(Once(CHUNK, failure=failure))) as held:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read, held)
                nursery.start_soon(read, held)
    assert caught.value is failure


async def test_a_small_source_that_fails_does_so_before_the_block():
    with pytest.raises(RequestError, match="cut"):
        async with Holding(None, KILOBYTE).hold(of(Once(b"x", failure=RequestError("cut")))):
            raise AssertionError("the block must not run")


async def test_an_error_of_the_block_comes_out_as_it_is(tmp_path):
    with trio.fail_after(10), pytest.raises(KeyError, match="mine"):
        async with Holding(tmp_path, KILOBYTE).hold(of(Gated(CHUNK))):
            raise KeyError("mine")


async def test_a_bug_in_the_block_is_not_hidden_behind_the_source_s_failure(tmp_path):
    failing = of(Once(CHUNK, failure=RequestError("cut")))
    with pytest.raises(ZeroDivisionError):
        async with Holding(tmp_path, KILOBYTE).hold(failing) as held:
            with pytest.raises(StreamBroken):
                await read(held)
            raise ZeroDivisionError


async def test_leaving_early_ends_the_reading_of_the_source(tmp_path):
    with trio.fail_after(10):
        async with Holding(tmp_path, KILOBYTE).hold(of(Gated(CHUNK))) as held:
            await anext(aiter(held.data))


async def test_cancelling_ends_it(tmp_path):
    with trio.move_on_after(0.05) as scope:
        async with Holding(tmp_path, KILOBYTE).hold(of(Gated(CHUNK))) as held:
            await read(held)
    assert scope.cancelled_caught


async def test_a_reader_that_comes_too_late_is_told(tmp_path):
    async with Holding(tmp_path, KILOBYTE).hold(of(Once(CHUNK))) as held:
        await read(held)
    with pytest.raises(StreamBroken):
        await read(held)


async def test_a_reader_that_waits_when_the_block_is_left_is_told(tmp_path):
    async def reader(data: AsyncIterator[bytes]):
        with pytest.raises(StreamBroken):
            async for _ in data:
                pass

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            async with Holding(tmp_path, KILOBYTE).hold(of(Gated(CHUNK))) as held:
                data = aiter(held.data)
                await anext(data)
                nursery.start_soon(reader, data)
                await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "no-space"), (errno.EDQUOT, "no-space"), (5, "disk-failure")],
)
async def test_a_disk_that_fails_is_unavailable(tmp_path, monkeypatch, number, code):
    def fail(descriptor, data):
        raise OSError(number, "x")

    monkeypatch.setattr(holding, "_write_all", fail)
    with pytest.raises(Unavailable) as caught:
        async with Holding(tmp_path, KILOBYTE).hold(of(Once(CHUNK, CHUNK))) as held:
            with pytest.raises(StreamBroken):
                await read(held)
    assert (caught.value.code, caught.value.http_status) == (code, 503)


async def test_a_file_that_cannot_be_read_breaks_the_reader_and_is_told(tmp_path, monkeypatch):
    def fail(descriptor, size, offset):
        raise OSError(errno.EIO, "x")

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(Unavailable, match="cannot be kept"):
        async with Holding(tmp_path, KILOBYTE).hold(of(Once(CHUNK))) as held:
            await read(held)


async def test_a_folder_that_is_not_there_is_named_by_its_key(tmp_path):
    with pytest.raises(Unavailable) as caught:
        async with Holding(tmp_path / "missing", KILOBYTE).hold(of(Once(CHUNK))):
            raise AssertionError("the block must not run")
    assert "state_dir" in str(caught.value.hint)


async def test_memory_does_not_grow_with_the_instance(tmp_path):
    class Large:
        left = 64 * 4

        def __aiter__(self):
            return self

        async def __anext__(self):
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return bytes(len(CHUNK))

    sizes = []

    async def count(held):
        sizes.append(sum([len(chunk) async for chunk in held.data]))

    tracemalloc.start()
    try:
        async with Holding(tmp_path, KILOBYTE).hold(of(Large())) as held:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(count, held)
                nursery.start_soon(count, held)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sizes == [64 * 1024 * KILOBYTE] * 2
    assert peak < 8 * 1024 * KILOBYTE


@given(
    chunks=st.lists(st.binary(max_size=400), max_size=8),
    memory=st.integers(0, 500),
    readers=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_every_reader_gets_every_byte(chunks, memory, readers):
    got = []

    async def reader(held):
        got.append(await read(held))

    async def main():
        async with Holding(None, memory).hold(of(Once(*chunks))) as held:
            async with trio.open_nursery() as nursery:
                for _ in range(readers):
                    nursery.start_soon(reader, held)

    trio.run(main)
    assert got == [b"".join(chunks)] * readers


# For one reader


@pytest.mark.parametrize("sizes", [[], [0], [10], [4, 6], [0, 10, 0]])
async def test_a_small_instance_is_whole_before_it_goes_on(sizes):
    source = Once(*[bytes(size) for size in sizes])

    given = await whole_if_small(of(source), 10)

    assert given.repeatable
    assert given.size == sum(sizes)
    assert await read(given) == await read(given) == bytes(sum(sizes))


@pytest.mark.parametrize("sizes", [[11], [10, 1], [4, 4, 4, 4], [1] * 100])
async def test_a_larger_one_goes_on_as_it_arrives_and_whole(sizes):
    chunks = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    source = Gated(*chunks)
    source.open.set()

    given = await whole_if_small(of(source), 10)

    assert not given.repeatable
    assert await read(given) == b"".join(chunks)


async def test_no_more_of_a_larger_one_is_read_than_its_reader_takes():
    source = Gated(*[bytes(8)] * 100)
    source.open.set()

    given = await whole_if_small(of(source), 10)
    reader = aiter(given.data)
    for _ in range(5):
        await anext(reader)

    assert len(source._chunks) == 95


async def test_what_can_be_read_again_is_given_as_it_is():
    repeatable = instance()

    assert await whole_if_small(repeatable, 0) is repeatable


async def test_a_source_that_fails_at_once_is_told_at_once():
    class Broken:
        def __aiter__(self):
            return self

        async def __anext__(self):
            raise StreamBroken("it broke")

    with pytest.raises(StreamBroken):
        await whole_if_small(of(Broken()), 10)
