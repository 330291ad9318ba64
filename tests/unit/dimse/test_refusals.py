"""Refused connections are told of, a flood of them in a few lines."""

import io
import json

import trio
import trio.testing

from harmony.dimse.refusals import Refusals
from harmony.telemetry import log


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_each_reason_is_told_at_most_once_a_second_and_none_is_lost(autojump_clock):
    stream = io.StringIO()
    with log.configured("info", "json", stream):
        refusals = Refusals("scp")
        for _ in range(1000):
            refusals.tell("192.0.2.1", "too-many-connections")
        refusals.tell("192.0.2.2", "not-tls", "plain DICOM?")
        await trio.sleep(1)
        refusals.tell("192.0.2.3", "too-many-connections")
    told = [(line["code"], line["address"], line["count"]) for line in lines(stream)]
    assert told == [
        ("too-many-connections", "192.0.2.1", 1),
        ("not-tls", "192.0.2.2", 1),
        ("too-many-connections", "192.0.2.3", 1000),
    ]
    assert lines(stream)[1]["reason"] == "plain DICOM?"


async def test_what_every_scan_and_health_check_does_is_no_warning(autojump_clock):
    stream = io.StringIO()
    with log.configured("info", "json", stream):
        Refusals("scp").tell("192.0.2.1", "closed-by-caller")
    assert lines(stream) == []
