import pytest

from harmony.config.wording import counted, either, near, pointer, printable, quoted


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain é", "plain é"),
        ("a\nb\x1b\x7f", r"a\nb\x1b\x7f"),
        ("\u202e\U000e0001", r"\u202e\U000e0001"),
        (True, "true"),
        (1.5, "1.5"),
        ("x" * 64, "x" * 64),
        ("x" * 65, "x" * 63 + "…"),
    ],
)
def test_a_value_is_one_short_printable_line(value, shown):
    assert quoted(value) == shown


def test_printable_text_is_not_shortened():
    assert printable("x" * 100 + "\t") == "x" * 100 + r"\t"


@pytest.mark.parametrize(
    ("path", "text"),
    [((), ""), (("a", 0, "b/c~d"), "/a/0/b~1c~0d"), (("",), "/")],
)
def test_pointer_follows_rfc_6901(path, text):
    assert pointer(path) == text


@pytest.mark.parametrize(
    ("name", "guess"),
    [("bindaddr", "bind_addr"), ("BIND-ADDR", "bind_addr"), ("zzz", ""), ("bind_addr" * 9, "")],
)
def test_near_names(name, guess):
    assert near(name, ["port", "bind_addr"]) == guess


def test_a_long_list_of_names_is_cut():
    assert either(["a", "b"]) == "`a`, `b`"
    assert either(map(str, range(12))).endswith("`11`")
    assert either(map(str, range(13))).endswith("`11`, ...")
    assert either([]) == ""


def test_counted():
    assert [counted(n, "file") for n in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
