"""An instance whose data is decoded when it is read."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterable, AsyncIterator

import trio

from harmony.dicom.elements import Malformed
from harmony.dicom.uids import EXPLICIT_LITTLE_ENDIAN
from harmony.envelope import Instance

_PIECE_BYTES = 256 * 1024


def unpacked(instance: Instance, limiter: trio.CapacityLimiter) -> Instance:
    """The same instance in explicit VR little endian. All of it is read before its first byte.

    Args:
        limiter: of instances that are decoded at one time: each is in memory then.
    """
    return dataclasses.replace(
        instance,
        transfer_syntax=EXPLICIT_LITTLE_ENDIAN,
        data=_Unpacked(instance.data, instance.transfer_syntax, limiter),
        size=None,
    )


class _Unpacked:
    def __init__(
        self, data: AsyncIterable[bytes], transfer_syntax: str, limiter: trio.CapacityLimiter
    ) -> None:
        self._data = data
        self._transfer_syntax = transfer_syntax
        self._limiter = limiter

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # Takes 40 MB for ever.
        from harmony.rendering import decoding

        whole = bytearray()
        async for chunk in self._data:
            whole += chunk
            if len(whole) > decoding.MAX_INSTANCE_BYTES:
                raise decoding.too_large()
        try:
            decoded = await trio.to_thread.run_sync(
                decoding.decompressed, bytes(whole), self._transfer_syntax, limiter=self._limiter
            )
        except Malformed as exc:
            raise decoding.undecodable() from exc
        for start in range(0, len(decoded), _PIECE_BYTES):
            yield decoded[start : start + _PIECE_BYTES]
