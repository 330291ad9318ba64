"""The fuzzer finds what is wrong, keeps it, and what it once found stays mended."""

from __future__ import annotations

import contextlib

import pytest

from tests.support.bad_caller import Case, Expect, Hear, Say
from tools.fuzz import corpus, inprocess, live, surfaces
from tools.fuzz.surface import Surface
from tools.fuzz.surfaces import Input

CASES = {"command": 7_500, "fragments": 7_500, "decode": 10_000, "connection": 10_000}
FEW_CASES = 300


def test_no_case_of_the_corpus_fails_any_more():
    findings = {file.name: inprocess.failure(case) for file, case in corpus.inputs()}
    assert [finding for finding in findings.items() if finding[1]] == []


@pytest.mark.parametrize("surface", surfaces.SURFACES)
def test_generated_cases_come_out_as_they_should(surface):
    count = CASES.get(surface, FEW_CASES)
    found = [f"{f.index}: {f.why}" for f in inprocess.run(surface, seed=4, first=0, count=count)]
    assert found == []


def test_the_same_seed_makes_the_same_cases():
    for surface in surfaces.SURFACES:
        assert surfaces.make_input(surface, 7, 3) == surfaces.make_input(surface, 7, 3)
    for surface in live.SURFACES:
        assert live.make_case(surface, 7, 3) == live.make_case(surface, 7, 3)


def broken(variant: str, data: bytes) -> None:
    raise KeyError(variant)


def endless(variant: str, data: bytes) -> None:
    while True:
        with contextlib.suppress(Exception):
            int("0")


@pytest.mark.parametrize(
    ("check", "why"), [(broken, "KeyError: 'v'"), (endless, "took more than 0.05 s")]
)
def test_a_foreign_exception_and_an_endless_case_are_findings(monkeypatch, check, why):
    monkeypatch.setitem(surfaces.SURFACES, "part10", Surface(lambda rng: ("v", b"data"), check))
    monkeypatch.setattr(inprocess, "CASE_SECONDS", 0.05)
    (finding,) = inprocess.run("part10", seed=1, first=5, count=1)
    assert (finding.index, finding.why) == (5, why)
    assert finding.case == Input("part10", "v", b"data")


@pytest.mark.parametrize(
    "case",
    [
        Input("elements", "1.2.840.10008.1.2", bytes(range(256))),
        Case(
            name="a name",
            steps=(Say(b"\0\xff"), Hear(0.25), Say(b"")),
            expect=Expect.NO_SUCCESS,
            ending="reset",
        ),
    ],
)
def test_a_kept_case_is_the_case(tmp_path, case):
    file = corpus.save(case, "why", tmp_path)
    assert corpus.load(file) == case
    assert corpus.save(case, "another reason", tmp_path) == file
    assert [*corpus.inputs(tmp_path), *corpus.cases(tmp_path)] == [(file, case)]
