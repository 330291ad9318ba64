"""The entry that a PACS needs, in words."""

from __future__ import annotations

import dataclasses

import pytest
import trio

from harmony.dimse.arrivals import Arrivals
from harmony.dimse.receiver import entry
from tests.support.scripted_link import target


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (
            ("192.0.2.7", 11112),
            "add AE title RECEIVER, host 192.0.2.7, port 11112 to the PACS",
        ),
        (
            ("0.0.0.0", 104),  # what is bound to is no address to call
            "add AE title RECEIVER, host 127.0.0.1, port 104 to the PACS",
        ),
        (
            ("127.0.0.1", 104),
            "add AE title RECEIVER, host 127.0.0.1, port 104 to the PACS",
        ),
        (
            ("gateway.test", 104),
            "add AE title RECEIVER, host gateway.test, port 104 to the PACS",
        ),
        (None, "add AE title RECEIVER with the host and port of this receiver to the PACS"),
    ],
    ids=["an address", "all addresses", "loopback", "a name", "not listening"],
)
async def test_the_entry_names_what_a_pacs_on_this_machine_must_know(
    address: tuple[str, int] | None, expected: str
) -> None:
    arrivals = Arrivals("RECEIVER")
    arrivals.address = address
    here = dataclasses.replace(target(), host="127.0.0.1")
    with trio.fail_after(5):
        assert await entry(arrivals, here) == expected


async def test_a_host_without_a_way_to_it_is_no_hindrance() -> None:
    arrivals = Arrivals("RECEIVER")
    arrivals.address = ("0.0.0.0", 104)  # what is bound to is no address to call
    nowhere = dataclasses.replace(target(), host="no such host.invalid")
    with trio.fail_after(5):
        text = await entry(arrivals, nowhere)
    assert text == "add AE title RECEIVER, host of this machine, port 104 to the PACS"
