"""A value by where it lies in an encoded data set, so that it can be read piece by piece."""

from __future__ import annotations

import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from harmony.dicom.elements import Data, Malformed
from harmony.dicom.scan import inflated

CHUNK_BYTES = 256 * 1024

# How wide the words are that a big endian sender turned around. PS3.5 7.3.
_WORD_BYTES = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}
_ARRAY_CODES = {2: "H", 4: "I", 8: "Q"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Offsets alone: it holds no data, and outlives the view of a file that they were found in.

    What is read of it are bytes of their own and little endian, as PS3.18 8.7.3.3.1 wants them.

    Attributes:
        spans: start and stop of what belongs to it, in order.
        bits: how many belong to it; what is left of the last byte becomes zero.
        first_bit: where they begin in the spans, counted from the lowest of the first byte.
        word: bytes in a word that is to be turned around; 1 if nothing is. Otherwise, and with a
            `first_bit`, there is one span, of whole words.
        is_deflated: the offsets are those of the inflated data set.
    """

    spans: tuple[tuple[int, int], ...] = field(repr=False)
    bits: int
    first_bit: int = 0
    word: int = 1
    is_deflated: bool = False

    @property
    def size(self) -> int:
        """How many bytes it has when read."""
        return -(-self.bits // 8)

    def read(self, data: Data) -> bytes:
        """All of it, out of the data set that it was found in.

        Raises:
            Malformed: the data set is another one, which is shorter or cannot be inflated.
        """
        return b"".join(self.chunks(data))

    def chunks(self, data: Data) -> Iterator[bytes]:
        """The same in pieces of at most 256 KiB. A deflated data set is inflated each time."""
        plain = inflated(data) if self.is_deflated else data
        return self.chunks_of(plain)

    def chunks_of(self, plain: Data) -> Iterator[bytes]:
        """Like `chunks`, for one who has `opened` the data set already."""
        if len(plain) < self.spans[-1][1]:
            raise Malformed("it is shorter than the data set in which the value was found")
        if self.word == 1 and not self.first_bit and not self.bits % 8:
            for start, stop in self.spans:
                for at in range(start, stop, CHUNK_BYTES):
                    yield plain[at : min(at + CHUNK_BYTES, stop)]
            return
        for at in range(0, self.size, CHUNK_BYTES):
            yield self._converted(plain, at, min(at + CHUNK_BYTES, self.size))

    def _converted(self, plain: Data, at: int, to: int) -> bytes:
        """Its bytes from one to another."""
        (start, stop) = self.spans[0]
        first = self.first_bit + 8 * at
        bits = min(8 * (to - at), self.bits - 8 * at)
        low, high = first // 8, -(-(first + bits) // 8)
        # Whole words around them.
        begin = low - low % self.word
        end = min(high + -high % self.word, stop - start)
        words = _turned(plain[start + begin : start + end], self.word)
        raw = words[low - begin : high - begin]
        shift = first % 8
        if not shift and not bits % 8:
            return raw
        number = int.from_bytes(raw, "little") >> shift & (1 << bits) - 1
        return number.to_bytes(to - at, "little")


def located(vr: str, start: int, stop: int, order: str, *, is_deflated: bool) -> Located:
    """A whole value.

    Args:
        vr: says which words a big endian sender turned around.
        order: of its bytes, as `struct` writes it.

    Raises:
        Malformed: it is no whole number of words.
    """
    word = word_of(vr, order)
    if (stop - start) % word:
        raise Malformed(f"the length of an element does not fit its VR {vr}")
    spans, bits = ((start, stop),), 8 * (stop - start)
    return Located(spans=spans, bits=bits, word=word, is_deflated=is_deflated)


def word_of(vr: str, order: str) -> int:
    """How many bytes each word of a value has that is to be turned around; 1 if none is."""
    return _WORD_BYTES.get(vr, 1) if order == ">" else 1


def _turned(raw: bytes, word: int) -> bytes:
    if word == 1:
        return raw
    words = array.array(_ARRAY_CODES[word], raw)
    words.byteswap()
    return words.tobytes()
