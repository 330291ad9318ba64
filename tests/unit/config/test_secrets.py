from pathlib import Path

import pytest

from harmony.config.secrets import MAX_BYTES, Secret, SecretError, SecretReference, reveal


def test_a_secret_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret\n")
    assert reveal("bearer", SecretReference(env="TOKEN"), Path()) == "s3cret\n"


@pytest.mark.parametrize("content", ["s3cret", "s3cret\n", "s3cret\r\n"])
def test_a_secret_in_a_file(content: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(content.encode())
    assert reveal("bearer", SecretReference(file="token"), tmp_path) == "s3cret"


def test_a_secret_as_text() -> None:
    assert reveal("bearer", "s3cret", Path()) == "s3cret"


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        (SecretReference(env="HARMONY_NO_SUCH"), "variable `HARMONY_NO_SUCH` is not set"),
        (SecretReference(file="none"), "no such file"),
        (SecretReference(file="."), "is a directory"),
        (SecretReference(file="large"), "is larger than"),
        (SecretReference(file="binary"), "is not UTF-8"),
        (SecretReference(), "names neither"),
    ],
)
def test_a_secret_that_cannot_be_had(secret: Secret, text: str, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"s3cret" * MAX_BYTES)
    (tmp_path / "binary").write_bytes(b"s3cret\xff")
    with pytest.raises(SecretError, match=f"`bearer`: .*{text}") as caught:
        reveal("bearer", secret, tmp_path)
    assert "s3cret" not in str(caught.value)
    assert caught.value.key == "bearer"
