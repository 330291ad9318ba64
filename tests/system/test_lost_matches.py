"""Finds by the thousand, 32 at once, at SCPs that answer without delay: every answer is whole.

pynetdicom 3.0.4 as it comes loses some of a hundred at the fast SCP while the status says success;
``python -m tools.bench lost`` prints them beside Harmony's.
"""

from __future__ import annotations

import pytest
import trio

from harmony.dimse.engines import Engine
from harmony.envelope import Key, Level, Query, Root
from tests.support.studies import Plan, write_studies
from tools.bench.losing import Load, own_load
from tools.bench.own_caller import studies_of
from tools.bench.servers import fast_scp

SECONDS = 100
FINDS = 10_000
STUDY, SERIES, INSTANCE, NUMBER = 0x0020000D, 0x0020000E, 0x00080018, 0x00200013


def counted(tally):
    return {"whole": tally.whole, "missing": tally.missing, "failed": tally.failed}


@pytest.mark.parametrize(("matches", "finds"), [(1, FINDS), (20, FINDS // 10)])
async def test_no_answer_of_a_fast_scp_is_lost(tmp_path, matches, finds):
    load = Load(query=studies_of(f"M{matches}"), matches=matches, finds=finds)
    with fast_scp(tmp_path / "fast") as scp:
        with trio.fail_after(SECONDS):
            tally = await own_load(scp, Engine.TRIO, load)
    assert counted(tally) == {"whole": finds, "missing": 0, "failed": 0}


async def test_no_answer_of_dcmqrscp_is_lost(tmp_path, dcmqrscp):
    made = write_studies(Plan(instances=3, size=16, seed="lost"), tmp_path)
    dcmqrscp.load([each.file for each in made])
    keys = (
        Key(INSTANCE),
        Key(STUDY, (made[0].study_uid,)),
        Key(SERIES, (made[0].series_uid,)),
        Key(NUMBER),
    )
    query = Query(level=Level.IMAGE, root=Root.STUDY, keys=keys)
    load = Load(query=query, matches=len(made), finds=FINDS)
    with trio.fail_after(SECONDS):
        tally = await own_load(dcmqrscp, Engine.TRIO, load)
    assert counted(tally) == {"whole": FINDS, "missing": 0, "failed": 0}


async def test_an_answer_that_is_not_whole_is_counted_as_missing(tmp_path):
    """The count of the others is worth something."""
    load = Load(query=studies_of("M3"), matches=4, finds=40)
    with fast_scp(tmp_path / "fast") as scp:
        with trio.fail_after(SECONDS):
            tally = await own_load(scp, Engine.TRIO, load)
    assert counted(tally) == {"whole": 0, "missing": 40, "failed": 0}
