import os

import pytest

from harmony.config.findings import FILE_START, Position, Span
from harmony.config.reading import MAX_FILE_BYTES
from harmony.config.rules import RULES
from harmony.config.sources import MAX_EXCERPT, Source, read_source


def read(tmp_path, data):
    file = tmp_path / "config.toml"
    file.write_bytes(data)
    return read_source(file, "config.toml")


def line_span(line, start=1, end=2):
    return Span(start=Position(line, start), end=Position(line, end))


def test_a_file_with_a_byte_order_mark_and_windows_line_ends_is_read(tmp_path):
    source, fault = read(tmp_path, b"\xef\xbb\xbf[log]\r\nlevel = 'info'\r\n")
    assert fault is None
    assert source.document == {"log": {"level": "info"}}
    assert source.value_span(("log", "level")) == line_span(2, 9, 15)


@pytest.mark.parametrize(
    ("data", "code", "message", "place"),
    [
        (b"a = \xff", "HRM-E003", "not UTF-8 at byte 5", (1, 1)),
        (b"a = 1\na = 2\n", "HRM-E002", "not valid TOML: cannot overwrite a value", (2, 6)),
        (b"a = " + b"[" * 300 + b"]" * 300, "HRM-E002", "nested more than 64 deep", (1, 1)),
        (b"a = " + b"[" * 3000, "HRM-E002", "nested more than 64 deep", (1, 1)),
        (b".".join([b"a"] * 66) + b" = 1", "HRM-E002", "nested more than 64 deep", (1, 1)),
        (b"a = 9223372036854775808", "HRM-E002", "does not fit in 64 bits", (1, 1)),
        (b"a = [{ b = -9223372036854775809 }]", "HRM-E002", "does not fit in 64 bits", (1, 1)),
        (b"a = " + b"1" * 5000, "HRM-E002", "does not fit in 64 bits", (1, 1)),
        (b"#" * (MAX_FILE_BYTES + 1), "HRM-E001", "larger than 1048576 bytes", (1, 1)),
    ],
)
def test_a_broken_file_gives_one_finding_and_no_document(tmp_path, data, code, message, place):
    source, fault = read(tmp_path, data)
    assert fault is not None
    assert fault.code == code
    assert message in fault.message
    assert (fault.span.start.line, fault.span.start.column) == place
    assert source.document == {}
    assert fault.severity is RULES[code].severity


@pytest.mark.parametrize(
    "data",
    [
        b"a = " + b"[" * 63 + b"]" * 63,
        b"a = 9223372036854775807\nb = -9223372036854775808",
        b"#" * MAX_FILE_BYTES,
        b"",
    ],
)
def test_a_file_at_the_limit_is_read(tmp_path, data):
    assert read(tmp_path, data)[1] is None


def test_a_folder_a_pipe_and_a_missing_file_cannot_be_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reasons = {}
    for name in ("pipe", "missing", "."):
        _, fault = read_source(tmp_path / name, name)
        assert fault is not None
        reasons[name] = fault.message
    assert reasons == {
        "pipe": "cannot read `pipe`: not a regular file",
        "missing": "cannot read `missing`: no such file or directory",
        ".": "cannot read `.`: not a regular file",
    }


def test_a_name_that_no_file_can_have_cannot_be_read(tmp_path):
    _, fault = read_source(tmp_path / "a\0b", "a\0b")
    assert fault is not None
    assert fault.message == r"cannot read `a\x00b`: not a file name"


def test_a_place_that_is_not_written_is_that_of_the_nearest_table(tmp_path):
    source, _ = read(tmp_path, b"[admin]\nport = 1\n")
    assert source.key_span(("admin", "bind_addr")) == line_span(1, 2, 7)
    assert source.key_span(("log", "level")) == FILE_START
    assert source.is_written(("admin", "port"))
    assert not source.is_written(("admin", "bind_addr"))


def test_an_excerpt_keeps_tabs_and_control_characters_from_shifting_the_caret(tmp_path):
    source, _ = read(tmp_path, "\ta = 'é\u200b' # \u202e\n".encode())
    excerpt = source.excerpt(source.value_span(("a",)))
    assert excerpt is not None
    assert excerpt.text == r" a = 'é\u200b' # \u202e"
    assert excerpt.text[excerpt.offset :][: excerpt.length] == r"'é\u200b'"


def test_an_excerpt_of_a_long_line_is_a_window_around_the_place(tmp_path):
    line = f"a = ['{'x' * 5000}', 1, '{'y' * 5000}']"
    source, _ = read(tmp_path, line.encode())
    excerpt = source.excerpt(source.value_span(("a", 1)))
    assert excerpt is not None
    assert len(excerpt.text) <= MAX_EXCERPT + 2
    assert excerpt.text[excerpt.offset :][: excerpt.length] == "1"
    assert excerpt.text.startswith("…")
    assert excerpt.text.endswith("…")


def test_an_excerpt_of_several_lines_is_the_first(tmp_path):
    source, _ = read(tmp_path, b"a = [\n 1,\n]\n")
    excerpt = source.excerpt(source.value_span(("a",)))
    assert excerpt is not None
    assert (excerpt.text, excerpt.offset, excerpt.length) == ("a = [", 4, 1)


def test_there_is_no_excerpt_of_a_file_as_a_whole(tmp_path):
    assert read(tmp_path, b"a = 1")[0].excerpt(FILE_START) is None


@pytest.mark.parametrize(
    ("text", "line", "shown"),
    [
        ("token_url = 1\npassword = 'hunter2'\n", 2, "password = ***"),
        ("options = { user = 'u', pasword = 'hunter2' }", 1, "pasword = ***"),
        ("secrets = [\n  'one',\n  'hunter2',\n]", 3, "secrets = ***"),
        ("api-key = '''\nhunter2'''", 2, "api-key = ***"),
        ("[a.token]\nb = 1", 1, "[a.token]"),
        ("passive = true", 1, "passive = true"),
    ],
)
def test_the_line_of_a_value_whose_name_sounds_secret_is_masked(tmp_path, text, line, shown):
    source, fault = read(tmp_path, text.encode())
    assert fault is None
    excerpt = source.excerpt(line_span(line))
    assert excerpt is not None
    assert excerpt.text == shown


def test_the_line_of_a_hidden_value_is_masked_and_has_no_caret(tmp_path):
    source, _ = read(tmp_path, b"[x]\npin = 1234\nother = 1\n")
    source.hide(("x", "pin"))
    excerpt = source.excerpt(line_span(2))
    assert excerpt is not None
    assert (excerpt.text, excerpt.length) == ("pin = ***", 0)
    other = source.excerpt(line_span(3))
    assert other is not None
    assert other.text == "other = 1"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("password = hunter2", "password = ***"),
        ("x = 'secret' hunter2", "x = ***"),
        ("secret: hunter2", "***"),
        ("a b", "a b"),
    ],
)
def test_a_line_that_is_no_toml_is_masked_by_its_look(tmp_path, line, shown):
    source, fault = read(tmp_path, line.encode())
    assert fault is not None
    excerpt = source.excerpt(fault.span)
    assert excerpt is not None
    assert excerpt.text == shown


def test_nothing_of_a_file_is_in_the_repr():
    source = Source(file="a.toml", text="password = 'hunter2'", document={"password": "hunter2"})
    assert repr(source) == "<Source 'a.toml'>"
