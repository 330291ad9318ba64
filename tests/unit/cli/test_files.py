from pathlib import Path

from harmony.cli.files import choose_file


def test_the_argument_is_taken_without_a_word(tmp_path):
    chosen = choose_file(Path("a.toml"), {"HARMONY_CONFIG": "b.toml"}, (tmp_path,))
    assert (chosen.path, chosen.note) == (Path("a.toml"), "")


def test_the_environment_comes_next_whether_the_file_exists_or_not():
    chosen = choose_file(None, {"HARMONY_CONFIG": "/no/b.toml"}, (Path(__file__),))
    assert chosen.path == Path("/no/b.toml")
    assert chosen.note == "taking /no/b.toml, named by HARMONY_CONFIG"


def test_then_the_first_file_that_exists(tmp_path):
    folder, file = tmp_path / "folder.toml", tmp_path / "b.toml"
    folder.mkdir()
    file.touch()
    chosen = choose_file(None, {"HARMONY_CONFIG": ""}, (tmp_path / "no", folder, file))
    assert (chosen.path, chosen.note) == (file, f"taking {file}")


def test_without_any_it_says_where_it_looked(tmp_path):
    chosen = choose_file(None, {}, (tmp_path / "a", tmp_path / "b"))
    assert chosen.path is None
    assert f"neither {tmp_path}/a nor {tmp_path}/b exists" in chosen.note
