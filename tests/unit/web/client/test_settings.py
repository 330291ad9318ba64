import pytest

from harmony.web.client import Credentials


@pytest.mark.parametrize(
    ("credentials", "value"),
    [
        (Credentials(), None),
        (Credentials(bearer="abc.def=="), "Bearer abc.def=="),
        (Credentials(username="u", password="p:w"), "Basic dTpwOnc="),
        (Credentials(username="ü", password=""), "Basic w7w6"),
    ],
)
def test_the_authorization_of_credentials(credentials: Credentials, value: str | None) -> None:
    assert credentials.authorization == value


@pytest.mark.parametrize(
    "given",
    [
        {"username": "hunter2"},
        {"password": "hunter2"},
        {"bearer": "hunter2", "username": "hunter2", "password": "hunter2"},
        {"bearer": "hunter2 hunter2"},
        {"bearer": ""},
        {"username": "hunter2:", "password": ""},
        {"username": "hunter2\n", "password": ""},
        {"username": "", "password": "hunter2\r\nX: y"},
    ],
)
def test_credentials_that_cannot_be_sent_are_refused_and_not_quoted(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="`") as caught:
        Credentials(**given)
    assert "hunter2" not in str(caught.value)


def test_credentials_are_in_no_repr() -> None:
    assert "hunter2" not in repr(Credentials(username="hunter2", password="hunter2"))
    assert "hunter2" not in repr(Credentials(bearer="hunter2"))
