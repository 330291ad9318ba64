"""Contexts of options: the profile, who is trusted, and files that are not what they should be."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from harmony.tls.contexts import ClientTls, ServerTls, TlsSetupError, client_context, server_context
from tests.support.certificates import Authority, Identity, encrypt_key, self_signed
from tests.support.handshakes import Handshake, shake_hands

NAME = "pacs.test"
PEM_GARBAGE = "-----BEGIN {0}-----\nAAAA\n-----END {0}-----\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def other(tmp_path: Path) -> Authority:
    return Authority(tmp_path, name="other")


def server(identity: Identity, **changes: object) -> ssl.SSLContext:
    options = {"client_certificate": "none"} | changes
    paths = {"cert_file": str(identity.cert_file), "key_file": str(identity.key_file)}
    return server_context(ServerTls(**paths, **options), Path("/"))  # type: ignore[arg-type]


def client(folder: Path, **options: object) -> ssl.SSLContext:
    return client_context(ClientTls(**options), folder)  # type: ignore[arg-type]


# The profile, PS3.15 B.12


def test_only_ephemeral_keys_and_authenticated_ciphers_are_offered(authority: Authority) -> None:
    for context in (
        client(Path("/"), ca_file=str(authority.ca_file)),
        server(authority.issue(NAME, name="server")),
    ):
        names = {cipher["name"] for cipher in context.get_ciphers()}
        of_tls12 = {name for name in names if not name.startswith("TLS_")}
        assert {"TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"} <= names
        assert all(name.startswith("ECDHE-") for name in of_tls12)
        assert all("GCM" in name or "CHACHA20" in name for name in names)
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.options & ssl.OP_NO_COMPRESSION


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_are_spoken(authority: Authority, version: ssl.TLSVersion) -> None:
    calling = client(Path("/"), ca_file=str(authority.ca_file))
    calling.minimum_version = calling.maximum_version = version
    agreed = shake_hands(calling, server(authority.issue(NAME, name="server")))
    assert agreed.succeeded
    assert agreed.version == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA"])
def test_a_caller_that_knows_only_older_ciphers_is_refused(
    authority: Authority, cipher: str
) -> None:
    calling = ssl.create_default_context(cafile=authority.ca_file)
    calling.maximum_version = ssl.TLSVersion.TLSv1_2
    calling.set_ciphers(cipher)
    agreed = shake_hands(calling, server(authority.issue(NAME, name="server")))
    assert agreed.server is not None
    assert agreed.server.reason == "NO_SHARED_CIPHER"


# Whom a client trusts


def test_paths_start_at_the_folder(authority: Authority, tmp_path: Path) -> None:
    identity = authority.issue(NAME, name="server")
    answering = server_context(
        ServerTls(cert_file="server.crt", key_file="server.key", client_certificate="none"),
        tmp_path,
    )
    assert shake_hands(client(tmp_path, ca_file="ca.crt"), answering).succeeded
    elsewhere = client(Path("/nowhere"), ca_file=str(authority.ca_file))
    assert shake_hands(elsewhere, server(identity)).succeeded


def test_without_a_ca_file_the_system_is_trusted(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering = server(authority.issue(NAME, name="server"))
    assert not shake_hands(client(Path("/")), answering).succeeded
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    assert shake_hands(client(Path("/")), answering).succeeded


def test_with_a_ca_file_the_system_is_not_trusted(
    authority: Authority, other: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    calling = client(Path("/"), ca_file=str(other.ca_file))
    assert not shake_hands(calling, server(authority.issue(NAME, name="server"))).succeeded


def test_a_self_signed_certificate_is_trusted_by_naming_it(tmp_path: Path) -> None:
    identity = self_signed(tmp_path, NAME, name="pacs")
    calling = client(tmp_path, ca_file="pacs.crt")
    assert shake_hands(calling, server(identity)).succeeded
    assert not shake_hands(calling, server(identity), "other.test").succeeded


def test_an_intermediate_authority_is_enough(authority: Authority, tmp_path: Path) -> None:
    identity = authority.child(name="department").issue(NAME, name="server")
    assert shake_hands(client(tmp_path, ca_file="department.crt"), server(identity)).succeeded


@pytest.mark.parametrize("name", [NAME, "other.test"])
def test_unverified_anybody_will_do(other: Authority, name: str) -> None:
    calling = client(Path("/"), verify=False)
    assert shake_hands(calling, server(other.issue(NAME, name="server")), name).succeeded


# Whom a server admits


@pytest.mark.parametrize(
    ("mode", "admitted"),
    [
        ("required", {"ours"}),
        ("optional", {"ours", "none"}),
        ("none", {"ours", "none", "foreign"}),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_callers_prove_who_they_are(
    authority: Authority,
    other: Authority,
    tmp_path: Path,
    mode: str,
    admitted: set[str],
    version: ssl.TLSVersion,
) -> None:
    authority.issue("scu.test", name="ours")
    other.issue("scu.test", name="foreign")
    answering = server(
        authority.issue(NAME, name="server"),
        ca_file=str(authority.ca_file),
        client_certificate=mode,
    )

    def call(**own: str) -> Handshake:
        calling = client(tmp_path, ca_file="ca.crt", **own)
        calling.maximum_version = version
        return shake_hands(calling, answering)

    called = {
        "none": call(),
        "ours": call(cert_file="ours.crt", key_file="ours.key"),
        "foreign": call(cert_file="foreign.crt", key_file="foreign.key"),
    }
    assert {name for name, handshake in called.items() if handshake.succeeded} == admitted


def test_callers_that_must_prove_who_they_are_need_an_authority(authority: Authority) -> None:
    identity = authority.issue(NAME, name="server")
    with pytest.raises(TlsSetupError, match=r"`ca_file`: missing.*client_certificate = \"none\""):
        server(identity, client_certificate="required")


# Files


@pytest.fixture
def files(authority: Authority, tmp_path: Path) -> Path:
    """A folder of proper and improper files."""
    encrypt_key(authority.issue(NAME, name="server"))
    authority.issue(NAME, name="second")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "damaged.crt").write_text(PEM_GARBAGE.format("CERTIFICATE"))
    (tmp_path / "damaged.key").write_text(PEM_GARBAGE.format("PRIVATE KEY"))
    return tmp_path


@pytest.mark.parametrize(
    ("cert_file", "key_file", "key", "text"),
    [
        ("missing", "server.key", "cert_file", "cannot read {}/missing: no such file"),
        ("folder", "server.key", "cert_file", "cannot read {}/folder: is a directory"),
        ("empty", "server.key", "cert_file", "{}/empty holds no certificate in PEM form"),
        ("server.key", "server.key", "cert_file", "{}/server.key holds no certificate"),
        ("damaged.crt", "server.key", "cert_file", "a certificate in {}/damaged.crt is damaged"),
        ("server.crt", "missing", "key_file", "cannot read {}/missing: no such file"),
        ("server.crt", "server.crt", "key_file", "{}/server.crt holds no private key"),
        ("server.crt", "damaged.key", "key_file", "the private key in {}/damaged.key is damaged"),
        ("server.crt", "second.key", "key_file", "{0}/second.key is not the key of the "),
        ("server.crt", "server.encrypted.key", "key_file", "is encrypted: store it without a "),
    ],
)
def test_a_bad_identity_is_told_by_key_and_file(
    files: Path, cert_file: str, key_file: str, key: str, text: str
) -> None:
    pair = {"cert_file": cert_file, "key_file": key_file}
    for make in (
        lambda: client_context(ClientTls(**pair), files),  # type: ignore[arg-type]
        lambda: server_context(ServerTls(**pair, client_certificate="none"), files),
    ):
        with pytest.raises(TlsSetupError) as caught:
            make()
        assert caught.value.key == key
        assert f"`{key}`: " in str(caught.value)
        assert text.format(files) in str(caught.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ca_file": "missing"}, "`ca_file`: cannot read {}/missing: no such file"),
        ({"ca_file": "server.key"}, "`ca_file`: {}/server.key holds no certificate"),
        ({"ca_file": "damaged.crt"}, "`ca_file`: a certificate in {}/damaged.crt is damaged"),
        ({"key_file": "server.key"}, "`cert_file`: missing"),
        ({"cert_file": "server.crt"}, "`key_file`: missing"),
        ({"server_name": "pacs..test"}, "`server_name`: not a DNS name or an IP address"),
        ({"server_name": "pacs\0test"}, "`server_name`: not a DNS name or an IP address"),
        ({"server_name": ""}, "`server_name`: not a DNS name or an IP address"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_options_of_a_client_are_told_by_key(
    files: Path, options: dict[str, str], text: str
) -> None:
    with pytest.raises(TlsSetupError) as caught:
        client(files, **options)
    assert text.format(files) in str(caught.value)
