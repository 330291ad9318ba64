"""A study of 2 GB through DICOMweb: memory does not grow with it."""

from __future__ import annotations

import pytest
import trio

from tests.support import dimse
from tests.support.bad_pacs import Final, Instance, Rows, Script, SendInstances, bad_pacs
from tests.support.dcmtk import Called
from tests.support.deployment import backend, pipeline, table
from tools.bench.processes import Process

SECONDS = 110
MEGABYTE = 1_000_000
SIZE, COUNT = 50 * MEGABYTE, 40
MOST_GROWTH = 64 * MEGABYTE
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def study() -> list[Instance]:
    """Each of its instances has the same pixels, so that the test has them once."""
    first = dimse.instance(SIZE)
    return [
        Instance(
            sop_class=first.sop_class,
            sop_instance=f"1.2.3.4.{number}",
            transfer_syntax=first.transfer_syntax,
            data=first.data,
        )
        for number in range(1, COUNT + 1)
    ]


@pytest.mark.parametrize("options", [{}, {"cache_bytes": 0}], ids=["cache", "no cache"])
async def test_a_study_of_2_gb_streams_through(serve, tmp_path, options):
    script = Script(
        find=(Rows(dimse.rows(3)), Final()),
        get=(SendInstances(study()), Final()),
        keep_data=False,
    )
    file = tmp_path / "config.toml"
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        called = Called(host="127.0.0.1", port=peer.port, aet="PACS")
        file.write_text(
            "[admin]\nport = 0\n[networks.default.http]\nport = 0\n"
            + pipeline("web", ["web"], ["pacs"])
            + table("endpoints.web", "dicomweb", path_prefix="/dicom-web", **options)
            + backend("pacs", called)
        )
        async with serve(file) as served, served.client() as client:
            process = Process(served.process.pid)
            assert len((await client.get("/dicom-web/studies")).json()) == 3
            before, received = process.peak_memory(), 0
            url = "/dicom-web/studies/1.2.3"
            async with client.stream("GET", url, headers={"accept": AS_STORED}) as answer:
                assert answer.status_code == 200
                async for piece in answer.aiter_raw():
                    received += len(piece)
            assert received > COUNT * SIZE
            assert process.peak_memory() - before < MOST_GROWTH
