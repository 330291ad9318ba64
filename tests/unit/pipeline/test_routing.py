"""Which requests and instances are for a backend."""

from __future__ import annotations

import dataclasses

import pytest

from harmony.envelope import Key, Level, Operation, Query, Root, WholeBytes
from harmony.errors import RequestError
from harmony.pipeline import Pipeline, Route
from harmony.pipeline.routing import facts_of
from tests.support.fake_backend import (
    CT,
    MR,
    FakeBackend,
    Once,
    Shelf,
    gives,
    instance,
    match,
    request,
    stream,
)

MODALITY, MODALITIES_IN_STUDY, SOP_CLASS = 0x00080060, 0x00080061, 0x00080016


def route(**when):
    return Route(FakeBackend(gives()), {name: tuple(values) for name, values in when.items()})


def query(*keys):
    return Query(level=Level.STUDY, root=Root.STUDY, keys=tuple(Key(t, v) for t, v in keys))


def encoded(modality):
    """A data set that says its modality."""
    return b"\x08\x00\x60\x00" + len(modality).to_bytes(4, "little") + modality.encode()


DIMSE = request(called="HARMONY", caller="CT_ROOM1", peer="ct1")

CASES = [
    ({"called_aet": ["HARMONY"]}, DIMSE, True),
    ({"called_aet": ["OTHER", "HARM*"]}, DIMSE, True),
    ({"called_aet": ["harmony"]}, DIMSE, False),
    ({"called_aet": ["HARMON"]}, DIMSE, False),
    ({"calling_aet": ["CT_ROOM?"]}, DIMSE, True),
    ({"calling_aet": ["CT_ROOM1?"]}, DIMSE, False),
    ({"calling_aet": ["CT.ROOM1"]}, DIMSE, False),
    ({"calling_aet": ["*"]}, request(), False),  # HTTP has no AE title
    ({"called_aet": ["*"]}, request(), False),
    ({"peer": ["ct?"]}, DIMSE, True),
    ({"peer": ["*"]}, request(), False),
    ({"operation": ["find", "get"]}, request(), True),
    ({"operation": ["store"]}, request(), False),
    ({"operation": ["find"], "peer": ["ct1"]}, DIMSE, True),
    ({"operation": ["find"], "peer": ["ct2"]}, DIMSE, False),
    ({"modality": ["CT"]}, request(query=query((MODALITY, ("CT",)))), True),
    ({"modality": ["CT"]}, request(query=query((MODALITIES_IN_STUDY, ("MR", "CT")))), True),
    ({"modality": ["CT"]}, request(query=query((MODALITY, ("MR",)))), False),
    ({"modality": ["*"]}, request(query=query((MODALITY, ()))), False),
    ({"sop_class": ["CTImageStorage"]}, request(query=query((SOP_CLASS, (CT,)))), True),
    ({"sop_class": ["CTImageStorage"]}, request(query=query((SOP_CLASS, (MR,)))), False),
    ({"transfer_syntax": ["*"]}, request(query=query()), False),
    ({}, request(), True),
]


@pytest.mark.parametrize(("when", "asked", "fits"), CASES)
def test_a_route_fits_if_all_that_it_names_fits(when, asked, fits):
    assert route(**when).matches(facts_of(asked)) is fits


@pytest.mark.parametrize(
    "pattern", [CT, "1.2.840.10008.5.1.4.1.1.?", "1.2.840.*", "CTImageStorage", "CT*", "*"]
)
def test_a_class_is_named_by_uid_or_keyword(pattern):
    assert route(sop_class=[pattern]).matches({"sop_class": (CT,)})


@pytest.mark.parametrize(
    "when", [{"sop_class": ["CTImageStorag"]}, {"transfer_syntax": ["JPEG9"]}, {"weekday": ["*"]}]
)
def test_what_no_request_can_have_is_refused_at_once(when):
    with pytest.raises(ValueError, match=r"weekday|neither a UID nor a keyword"):
        route(**when)


async def test_a_query_goes_to_the_backend_that_it_is_for():
    ct, mr = FakeBackend(gives(match("1"))), FakeBackend(gives(match("2")), name="mr")
    pipeline = Pipeline("p", [Route(ct, {"modality": ("CT",)}), Route(mr, {"modality": ("MR",)})])
    asked = request(query=query((MODALITY, ("MR",))))
    async with pipeline.exchange(asked) as response:
        assert [item async for item in response.items] == [match("2")]
        assert response.backend == "mr"
    assert (ct.requests, mr.requests) == ([], [asked])


async def test_a_query_that_is_for_nobody_is_422():
    pipeline = Pipeline("p", [Route(FakeBackend(gives()), {"modality": ("CT",)})])
    with pytest.raises(RequestError) as caught:
        async with pipeline.exchange(request(query=query())):
            raise AssertionError("the block must not run")
    assert (caught.value.code, caught.value.http_status) == ("no-backend-for-this", 422)


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ((), ["main", "mr"]),
        (("M*",), ["main", "mr"]),
        (("CT", "M?"), ["main", "mr"]),
        (("MR",), ["main", "mr"]),
        (("CT",), ["main"]),
    ],
)
async def test_a_merged_query_leaves_out_only_what_can_have_no_match(values, asked):
    backends = [FakeBackend(gives(), name="main"), FakeBackend(gives(), name="mr")]
    routes = [Route(backends[0]), Route(backends[1], {"modality": ("MR",)})]
    keys = query((MODALITY, values))
    async with Pipeline("p", routes, strategy="merge").exchange(request(query=keys)):
        pass
    assert [backend.name for backend in backends if backend.requests] == asked


async def test_a_merged_retrieve_leaves_no_modality_out():
    mr = FakeBackend(gives(instance()), name="mr")
    pipeline = Pipeline("p", [Route(mr, {"modality": ("MR",)})], strategy="merge")
    async with pipeline.exchange(request(Operation.GET, query=query())) as response:
        assert len([item async for item in response.items]) == 1


async def test_an_operation_that_only_the_other_backend_can_goes_there():
    storage = FakeBackend(gives(), Operation.STORE)
    index = FakeBackend(gives(match("1")), Operation.FIND, name="index")
    async with Pipeline("p", [Route(storage), Route(index)]).exchange(request()) as response:
        assert response.backend == "index"


@pytest.mark.parametrize("repeatable", [True, False])
async def test_each_instance_of_an_upload_goes_where_it_belongs(repeatable):
    ct, mr, rest = Shelf(), Shelf(), Shelf()
    pipeline = Pipeline(
        "p",
        [
            Route(FakeBackend(ct.produce, name="ct"), {"modality": ("CT",)}),
            Route(FakeBackend(mr.produce, name="mr"), {"sop_class": ("MRImageStorage",)}),
            Route(FakeBackend(rest.produce, name="rest"), {"calling_aet": ("*",)}),
        ],
    )
    sent = [
        dataclasses.replace(
            instance(f"1.{n}", sop_class=MR if modality == "MR" else CT),
            data=WholeBytes(encoded(modality)) if repeatable else Once(encoded(modality)),
            repeatable=repeatable,
        )
        for n, modality in enumerate(["CT", "MR", "CT", "US"])
    ]
    body = stream(*sent)
    async with pipeline.exchange(
        request(Operation.STORE, body=body, called="HARMONY", caller="A")
    ) as r:
        assert [(item.sop_instance_uid, item.status) async for item in r.items] == [
            ("1.0", 0),
            ("1.1", 0),
            ("1.2", 0),
            ("1.3", 0),
        ]
    assert ct.has == {"1.0": encoded("CT"), "1.2": encoded("CT")}
    assert mr.has == {"1.1": encoded("MR")}
    assert rest.has == {"1.3": encoded("US")}


async def test_an_instance_that_is_for_nobody_is_422():
    shelf = Shelf()
    pipeline = Pipeline("p", [Route(FakeBackend(shelf.produce), {"sop_class": (MR,)})])
    with pytest.raises(RequestError) as caught:
        async with pipeline.exchange(request(Operation.STORE, body=stream(instance()))):
            raise AssertionError("the block must not run")
    assert caught.value.code == "no-backend-for-this"
    assert shelf.seen == []
