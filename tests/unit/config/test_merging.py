from pathlib import Path

import pytest

from harmony.config.merging import merge, names, object_of
from harmony.config.schemas import MAIN, PIPELINES, builtin_schemas
from harmony.config.sources import Source


def source(file, document):
    return Source(file=file, text="", document=document)


def merged(*documents, broken=frozenset()):
    sources = [
        (source(f"{n}.toml", document), PIPELINES if n else MAIN)
        for n, document in enumerate(documents)
    ]
    return merge(sources, broken, builtin_schemas(), Path())


@pytest.mark.parametrize(
    ("path", "whole"),
    [
        (("backends", "a", "options", "port"), ("backends", "a")),
        (("backends",), ("backends",)),
        (("admin", "port"), ("admin",)),
        ((), ()),
    ],
)
def test_the_table_that_stands_or_falls_as_a_whole(path, whole):
    assert object_of(path) == whole


def test_of_a_name_defined_twice_the_first_stays():
    whole = merged({"backends": {"a": {"service": "x"}}}, {"backends": {"a": {}, "b": {}}})
    assert [d.source.file for d in whole.all("backends")] == ["0.toml", "1.toml"]
    ((second, first),) = whole.clashes
    assert (second.source.file, first.source.file) == ("1.toml", "0.toml")


def test_what_broke_its_schema_is_not_intact():
    broken = {("0.toml", ("backends", "a")), ("0.toml", ("admin",))}
    whole = merged({"backends": {"a": {}, "b": {}}, "admin": {"port": 1}}, broken=broken)
    assert [d.name for d in whole.intact("backends")] == ["b"]
    assert whole.admin is None


def test_every_name_that_leads_somewhere_is_a_reference():
    document = {
        "pipelines": {
            "p": {
                "networks": ["n"],
                "backends": ["b", {"name": "c", "when": {"peer": ["q", "q*"]}}, 7, {}],
            }
        },
        "endpoints": {
            "e": {"service": "dicom", "options": {"peers": ["q"], "move_destinations": ["b"]}},
            "w": {"service": "http", "options": {"peers": ["q"]}},
        },
        "backends": {
            "b": {"service": "dicom", "options": {"receiver": "e"}},
            "c": {"service": "dicom", "options": {"receiver": {"local_aet": "A"}}},
        },
        "peers": {"q": {"move_destinations": ["b"]}},
    }
    whole = merged(document)
    found = [(r.key, r.kind, r.name, r.path) for r in whole.references()]
    assert found == [
        ("networks", "networks", "n", ("pipelines", "p", "networks", 0)),
        ("backends", "backends", "b", ("pipelines", "p", "backends", 0)),
        ("backends", "backends", "c", ("pipelines", "p", "backends", 1, "name")),
        ("peer", "peers", "q", ("pipelines", "p", "backends", 1, "when", "peer", 0)),
        ("peers", "peers", "q", ("endpoints", "e", "options", "peers", 0)),
        (
            "move_destinations",
            "backends",
            "b",
            ("endpoints", "e", "options", "move_destinations", 0),
        ),
        ("receiver", "endpoints", "e", ("backends", "b", "options", "receiver")),
        ("move_destinations", "backends", "b", ("peers", "q", "move_destinations", 0)),
    ]
    assert {r.owner.name for r in whole.references("peers", "backends")} == {"q", "b"}


def test_what_is_broken_or_a_second_definition_leads_nowhere():
    document = {"pipelines": {"p": {"backends": ["b"]}, "q": {"backends": ["c"]}}}
    whole = merged(document, document, broken={("0.toml", ("pipelines", "q"))})
    assert [(r.name, r.owner.source.file) for r in whole.references()] == [("b", "0.toml")]


def test_the_default_network_is_always_defined():
    whole = merged({})
    assert whole.is_defined("networks", "default")
    assert not whole.is_defined("backends", "default")


def test_texts_to_judge_are_found_in_every_file():
    options = {"aet": "A", "local_aet": "B", "port": 1}
    document = {"backends": {"a": {"service": "dicom", "options": options}}}
    whole = merged({"admin": {"bind_addr": "x"}}, document)
    assert [j.text for j in whole.judged["HRM-E221"]] == ["A", "B"]
    assert [j.path for j in whole.judged["HRM-E246"]] == [("admin", "bind_addr")]


def test_a_list_that_is_not_written_has_no_names():
    assert names({}, "backends") == []


def test_names_of_a_list_stand_alone_or_in_a_table():
    assert names({"backends": ["a", {"name": "b"}, {}, 7]}, "backends") == ["a", "b"]
