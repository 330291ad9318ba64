"""The DIMSE statuses that Harmony gives or looks for, by name; `status` says what each means."""

from __future__ import annotations

from typing import Final

SUCCESS: Final = 0x0000
PENDING: Final = 0xFF00
PENDING_WITHOUT_SOME_KEYS: Final = 0xFF01  # PS3.4 C.4.1.1.4
CANCELLED: Final = 0xFE00

# Of all services. PS3.7 annex C.
PROCESSING_FAILURE: Final = 0x0110
CLASS_NOT_SUPPORTED: Final = 0x0122
NOT_AUTHORISED: Final = 0x0124
UNRECOGNISED_OPERATION: Final = 0x0211
MISTYPED_ARGUMENT: Final = 0x0212

# Of storage, query and retrieve. PS3.4 table B.2-1 and tables C.4-1 to C.4-3.
OUT_OF_RESOURCES: Final = 0xA700
UNABLE_TO_COUNT: Final = 0xA701
UNABLE_TO_PERFORM: Final = 0xA702
DESTINATION_UNKNOWN: Final = 0xA801
DOES_NOT_MATCH: Final = 0xA900
SOME_FAILED: Final = 0xB000
COERCED: Final = 0xB000  # of a store: elements were changed. PS3.4 table B.2-1
UNABLE_TO_PROCESS: Final = 0xC000
