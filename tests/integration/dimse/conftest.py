"""Engines under contract: every test here that asks for `open_link` runs over each of them."""

from __future__ import annotations

import functools

import pytest
import trio

from harmony.dimse.pool import OpenLink
from harmony.dimse.pynetdicom_engine import open_link as pynetdicom_open_link

ENGINES = {"pynetdicom": pynetdicom_open_link}


@pytest.fixture(params=ENGINES)
def open_link(request: pytest.FixtureRequest) -> OpenLink:
    engine = ENGINES[request.param]
    return functools.partial(engine, limiter=trio.CapacityLimiter(256))
