"""A key pair for the tests, and a certificate for 127.0.0.1 that no other program trusts."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
PRIVATE_PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC_PEM = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def make_certificate(folder: Path) -> tuple[str, str]:
    """Paths of the certificate and of its key."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "demo org")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, KEY.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(KEY, hashes.SHA256())
    )
    certificate, key = folder / "org.crt", folder / "org.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_text(PRIVATE_PEM)
    return str(certificate), str(key)
