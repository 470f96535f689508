"""Private keys as tools write them and as people paste them; what else is given in their place is called by name."""

import base64
import textwrap
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from demo_org_client import FIXTURES
from dlt.sources.helpers import requests
from keys import KEY, PRIVATE_PEM, PUBLIC_PEM, make_certificate

from pipelines.config.settings import read_credentials
from pipelines.demo_org.org import DemoOrg
from pipelines.errors import ConfigError
from pipelines.salesforce.sign_in import sign_in

HEADER = (FIXTURES / "s_73_pem_header.txt").read_text(encoding="utf-8")
PEM, NONE = serialization.Encoding.PEM, serialization.NoEncryption()
TRADITIONAL = KEY.private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, NONE).decode()


def sign_in_with(org: DemoOrg, give, key: str) -> str:
    org.jwt_public_key = PUBLIC_PEM
    keys = {"instance_url": org.instance_url, "client_id": org.client_id, "username": org.integration_username}
    give(**keys, private_key=key)
    return sign_in(read_credentials(), requests.Client(raise_for_status=False)).org_id


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("in_a_file", [True, False])
def test_a_header_before_the_key(org: DemoOrg, give, tmp_path: Path, encoding: str, in_a_file: bool) -> None:
    """As `openssl pkcs12` writes it, with the name of the key in it, in the encoding of the machine."""
    file = tmp_path / "server.key"
    file.write_bytes((HEADER + PRIVATE_PEM).encode(encoding))
    assert sign_in_with(org, give, str(file) if in_a_file else HEADER + PRIVATE_PEM) == org.org_id


@pytest.mark.parametrize("wrapping", ["certificate", "indented", "one line", "CRLF", "traditional"])
def test_other_wrappings(org: DemoOrg, give, tmp_path: Path, wrapping: str) -> None:
    certificate = Path(make_certificate(tmp_path)[0]).read_text()
    wrapped = {
        "certificate": certificate + PRIVATE_PEM + certificate,
        "indented": textwrap.indent(PRIVATE_PEM, "    "),
        "one line": PRIVATE_PEM.replace("\n", " "),
        "CRLF": PRIVATE_PEM.replace("\n", "\r\n"),
        "traditional": TRADITIONAL,
    }
    assert sign_in_with(org, give, wrapped[wrapping]) == org.org_id


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("passphrase", "a key with a passphrase"),
        ("old passphrase", "without a passphrase"),
        ("OpenSSH", "in OpenSSH's format"),
        ("certificate", "a certificate"),
        ("public key", "a public key"),
        ("elliptic curve", "not an RSA private key"),
        ("cut off", "not an RSA private key"),
        ("directory", "Is a directory"),
    ],
)
def test_what_is_no_usable_key(org: DemoOrg, give, tmp_path: Path, kind: str, said: str) -> None:
    """With how to make one of it, and without a letter of it."""
    pkcs8 = serialization.PrivateFormat.PKCS8
    secret = serialization.BestAvailableEncryption(b"s3cret")
    given = {
        "passphrase": KEY.private_bytes(PEM, pkcs8, secret).decode(),
        "old passphrase": TRADITIONAL.replace("-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\n", 1),
        "OpenSSH": KEY.private_bytes(PEM, serialization.PrivateFormat.OpenSSH, NONE).decode(),
        "certificate": Path(make_certificate(tmp_path)[0]).read_text(),
        "public key": PUBLIC_PEM.decode(),
        "elliptic curve": ec.generate_private_key(ec.SECP256R1()).private_bytes(PEM, pkcs8, NONE).decode(),
        "cut off": PRIVATE_PEM[:300],
        "directory": str(tmp_path),
    }
    with pytest.raises(ConfigError) as raised:
        sign_in_with(org, give, given[kind])

    assert said in raised.value.message
    body = base64.b64encode(KEY.private_bytes(serialization.Encoding.DER, pkcs8, NONE)).decode()
    assert not any(body[start : start + 12] in str(raised.value) for start in range(0, 120, 12))
