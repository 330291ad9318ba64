"""Conversations by chance: one more bad caller for each `random.Random`."""

from __future__ import annotations

import random
import struct

from tests.support.bad_caller import data_sets, messages
from tests.support.bad_caller.conversation import Case, Ending, Expect, Hear, Say, Step
from tests.support.bad_caller.data_sets import (
    INSTANCE_UID,
    bad_data_set,
    random_data_set,
    random_identifier,
)
from tests.support.bad_caller.mutation import garbage, mutate, mutate_pdu
from tests.support.bad_caller.request import (
    ECHO_ID,
    EXPLICIT,
    FIND_ID,
    GET_ID,
    MOVE_ID,
    STORE_ID,
    Request,
)
from tests.support.bad_caller.table import NO_UID, NOBODY, every_pdu, odd_requests

_PROPER = Request()
# The last two hear no answer, so they are few.
_ENDINGS: dict[Ending, int] = {"half_close": 8, "close": 1, "reset": 1}


def spoilt_pdus(rng: random.Random) -> Case:
    """PDUs gone wrong, before or within an association."""
    kind = rng.randrange(5)
    if kind == 0:
        return _generated(rng, "garbage", [Say(garbage(rng))], Expect.NO_RESPONSE)
    if kind == 1:
        spoilt = mutate_pdu(rng, _random_request(rng).encode())
        return _generated(rng, "spoilt request", [Say(spoilt)])
    start: list[Step] = [Say(_PROPER.encode()), Hear()]
    pdus = list(every_pdu().values())
    if kind == 2:
        start += [Say(garbage(rng))]
        return _generated(rng, "garbage when associated", start, Expect.NO_RESPONSE)
    if kind == 3:
        start += [Say(mutate_pdu(rng, rng.choice(pdus))) for _ in range(rng.randint(1, 3))]
        return _generated(rng, "spoilt PDUs", start)
    disordered: list[Step] = [Say(rng.choice(pdus)) for _ in range(rng.randint(1, 6))]
    return _generated(rng, "PDUs out of order", disordered)


def spoilt_messages(rng: random.Random) -> Case:
    """Requests whose framing, command set, data set or UIDs are wrong, on a good association."""
    context_id = rng.choice((STORE_ID, FIND_ID, GET_ID, MOVE_ID, ECHO_ID))
    command_bytes, data = _request(rng, context_id)
    is_spoilt = rng.random() < 0.4
    if is_spoilt:
        command_bytes = spoilt_command(rng, command_bytes)
    if data is not None and rng.random() < 0.6:
        data = bad_data_set(rng, EXPLICIT, data)
    expect = Expect.ORDER
    if rng.random() < 0.1:
        context_id, expect = rng.choice((0, 2, 11, 255)), Expect.NO_SUCCESS
    whole = messages.message(
        context_id, command_bytes, data, max_length=rng.choice((20, 200, 16382))
    )
    dice = rng.random()
    if dice < 0.15 and data:  # stops within its data set, so it cannot have been served
        whole = whole[: -rng.randint(1, min(len(data), 300))]
        expect = expect if is_spoilt else Expect.NO_SUCCESS
    elif dice < 0.3:
        whole, expect = mutate(rng, whole), Expect.ORDER
    elif dice < 0.4:
        whole += messages.message(FIND_ID, messages.cancel(message_id=rng.choice((1, 2, 77))))
    elif dice < 0.5:
        whole = whole * 2
    steps: list[Step] = [Say(_PROPER.encode()), Hear(), Say(whole)]
    if rng.random() < 0.5:
        steps.append(Hear(0.1))
    return _generated(rng, f"context {context_id}", steps, expect)


def spoilt_command(rng: random.Random, command_bytes: bytes) -> bytes:
    """A command set with elements missing, odd, doubled or huge, or with bytes changed."""
    head, elements = command_bytes[:12], _elements(command_bytes[12:])
    if not elements:
        return mutate(rng, command_bytes)
    at = rng.randrange(len(elements))
    kind = rng.randrange(7)
    if kind == 0:
        del elements[at]
    elif kind == 1:
        elements.insert(at, elements[at])
    elif kind == 2:
        rng.shuffle(elements)
    elif kind == 3:
        value = rng.choice((*data_sets.ODD_TEXTS, bytes(20_000), rng.randbytes(9)))
        elements[at] = elements[at][:4] + struct.pack("<I", len(value)) + value
    elif kind == 4:
        length = rng.choice((0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
        elements[at] = elements[at][:4] + struct.pack("<I", length) + elements[at][8:]
    elif kind == 5:
        number = rng.choice((0x0000, 0x0001, 0x0902, 0x1030, 0x1031, 0x5110, 0xFFFF))
        value = rng.choice(data_sets.ODD_TEXTS)
        elements.append(messages.element(number, value, group=rng.choice((0, 0, 8))))
    else:
        return mutate(rng, command_bytes)
    if rng.random() < 0.7:
        return messages.command_set(*elements)
    return head + b"".join(elements)


def _request(rng: random.Random, context_id: int) -> tuple[bytes, bytes | None]:
    message_id = rng.choice((0, 1, 1, 1, 0xFFFF))
    if context_id == ECHO_ID:
        return messages.echo(message_id=message_id), None
    if context_id == STORE_ID:
        uid = rng.choice(("1.2.3.4", NO_UID, "", "1." * 40))
        data = data_sets.element(INSTANCE_UID, "UI", b"1.2.3.4")
        data += random_data_set(rng, EXPLICIT)
        return messages.store(uid, message_id=message_id), data
    data = random_identifier(rng, EXPLICIT)
    if context_id == FIND_ID:
        return messages.find(message_id=message_id), data
    if context_id == GET_ID:
        return messages.get(message_id=message_id), data
    return messages.move(NOBODY, message_id=message_id), data


def _random_request(rng: random.Random) -> Request:
    if rng.random() < 0.5:
        return _PROPER
    return rng.choice([request for _, request in odd_requests()])


def _generated(
    rng: random.Random, name: str, steps: list[Step], expect: Expect = Expect.ORDER
) -> Case:
    return Case(
        name=name,
        steps=tuple(steps),
        expect=expect,
        ending=rng.choices(list(_ENDINGS), list(_ENDINGS.values()))[0],
    )


def _elements(data: bytes) -> list[bytes]:
    found = []
    at = 0
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        found.append(data[at : at + 8 + length])
        at += 8 + length
    return found
