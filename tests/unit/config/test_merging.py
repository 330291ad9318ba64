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
    return merge(sources, broken, builtin_schemas())


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


def test_references_are_in_the_order_of_the_lists():
    document = {"pipelines": {"p": {"backends": ["b", "c"], "networks": ["n"]}, "q": {}}}
    found = [(r.kind, r.name, r.path) for r in merged(document).references()]
    assert found == [
        ("networks", "n", ("pipelines", "p", "networks", 0)),
        ("backends", "b", ("pipelines", "p", "backends", 0)),
        ("backends", "c", ("pipelines", "p", "backends", 1)),
    ]


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
    assert names({"backends": "a"}, "backends") == []
