"""What an association itself must read in an identifier: the list of failed instances."""

from __future__ import annotations

import struct

_FAILED_SOP_INSTANCE_UID_LIST = (0x0008, 0x0058)
_IMPLICIT = "1.2.840.10008.1.2"
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"))


def failed_instances(data: bytes, transfer_syntax: str) -> tuple[str, ...]:
    """UIDs of (0008,0058) in the identifier of a final response; empty if there are none.

    PS3.4 C.4.2.1.4.2. Reads the elements before it, which are few and short; an identifier
    that cannot be read gives none, as it only adds detail to a failure that is known already.
    """
    offset = 0
    try:
        while offset < len(data):
            group, element = struct.unpack_from("<HH", data, offset)
            offset += 4
            if transfer_syntax == _IMPLICIT:
                (length,) = struct.unpack_from("<L", data, offset)
                offset += 4
            elif data[offset : offset + 2] in _LONG_VRS:
                (length,) = struct.unpack_from("<L", data, offset + 4)
                offset += 8
            else:
                (length,) = struct.unpack_from("<H", data, offset + 2)
                offset += 4
            if (group, element) == _FAILED_SOP_INSTANCE_UID_LIST:
                text = data[offset : offset + length].decode("ascii").strip("\0 ")
                return tuple(uid for uid in text.split("\\") if uid)
            offset += length
    except (struct.error, UnicodeDecodeError):
        pass
    return ()
