"""All four ways to sign in to a demo org: what each needs, made in a folder, and the commands that use it."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import timedelta
from pathlib import Path

from pipelines.demo_org.org import DemoOrg

# Stands in for the Salesforce CLI, as of May 2026: signed in to this org and to no other.
# Its answers are like tests/fixtures/a_42_sfcli_org_display_redacted.json and a_43_sfcli_show_access_token.json.
SF = """#!/bin/sh
case "$*" in
*show-access-token*) cat <<'END'
{token}
END
;;
*) cat <<'END'
{display}
END
;;
esac
"""


def offer_all_ways(org: DemoOrg, folder: Path) -> str:
    """Make a key, its certificate and an `sf` in the folder, register the certificate with the org, and say how each
    way is tried."""
    key, certificate, sf = folder / "server.key", folder / "server.crt", folder / "bin" / "sf"
    _make_certificate(org, key, certificate)
    sf.parent.mkdir()
    shown = {"id": org.org_id, "instanceUrl": org.instance_url, "username": org.integration_username, "alias": "demo"}
    display = json.dumps({"status": 0, "result": {**shown, "accessToken": "[REDACTED]"}})
    token = json.dumps({"status": 0, "result": {"accessToken": org.access_token}})
    sf.write_text(SF.format(display=display, token=token))
    sf.chmod(0o700)
    secret = folder / "secret"
    secret.write_text(org.client_secret)
    bearer = folder / "token"
    bearer.write_text(org.access_token)
    init = f"{shlex.quote(sys.executable)} -m pipelines.query_jobs init --replace"
    at = f"--instance-url {org.instance_url}"
    app = f"{at} --client-id {org.client_id}"
    return f"""\
Or try each way to sign in; init writes the keys to .dlt/secrets.toml, and keeps the old file next to it:

  {init} {app} --secret-file {secret}
  {init} {app} --username {org.integration_username} --private-key {key}
  PATH={sf.parent}:$PATH {init} --sf-cli-org demo
  {init} --sign-in token {at} --secret-file {bearer}

The certificate of the second is {certificate}: with a real org, you would upload it to the app."""


def _make_certificate(org: DemoOrg, key: Path, certificate: Path) -> None:
    from cryptography import x509  # noqa: PLC0415 - slow to import, and often not needed
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, org.name)])
    made = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(org.now - timedelta(days=1))
        .not_valid_after(org.now + timedelta(days=365))
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key.touch(mode=0o600)
    key.write_bytes(private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    certificate.write_bytes(made.public_bytes(pem))
    org.jwt_public_key = private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
