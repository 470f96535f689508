"""The private key of the JWT bearer sign-in: from a file or a setting, in any of the wrappings that tools give it."""

import errno
import os
import re
import select
import stat
import textwrap
from pathlib import Path
from typing import Final

from pipelines.config.credentials import SalesforceCredentials
from pipelines.config.toml_files import UTF_16
from pipelines.errors import ConfigError

KEY_WAIT: Final = 10  # seconds to wait for a FIFO's writer
MAX_KEY: Final = 1_000_000  # bytes
# What openssl writes before a key (its Bag Attributes), and the certificate beside it, are left out.
BLOCK: Final = re.compile(
    r"-----BEGIN (?P<kind>(?:[A-Z0-9]+ )*)PRIVATE KEY-----(?P<body>.*?)-----END (?P=kind)PRIVATE KEY-----", re.DOTALL
)
OTHER: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----")
NO_KEY: Final = "not an RSA private key in PEM format without a passphrase"
NEW_KEY: Final = (
    "Create a pair with: openssl req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.crt "
    "- upload server.crt to the app, and set private_key to the path of server.key."
)
CONVERSIONS: Final = {
    "ENCRYPTED ": ("a key with a passphrase", "Remove it: openssl pkey -in server.key -out plain.key"),
    "OPENSSH ": ("a key in OpenSSH's format", "Convert it: ssh-keygen -p -m PEM -f server.key"),
}


def pem_of(credentials: SalesforceCredentials) -> str:
    """The PEM block of the private key. Raises ConfigError."""
    file = credentials.key_file
    # Environment variables often contain \n as two characters.
    text = (credentials.private_key or "").replace("\\n", "\n") if file is None else _text_of(file)
    block = BLOCK.search(text)
    if block and block["kind"] not in CONVERSIONS:
        if ":" in block["body"]:  # it has headers, which end with an empty line
            return f"{block[0]}\n"
        lines = textwrap.wrap("".join(block["body"].split()), 64)  # it may be indented, or on one line
        label = f"{block['kind']}PRIVATE KEY"
        return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))
    if block:
        found, remedy = CONVERSIONS[block["kind"]]
        raise ConfigError(f"private_key is {found}, {NO_KEY}.", remedy)
    other = OTHER.search(text)
    raise ConfigError(f"private_key is {f'a {other[1].lower()}, ' if other else ''}{NO_KEY}.", NEW_KEY)


def _text_of(file: Path) -> str:
    try:
        content = _without_waiting(file)
        return content.decode("utf-16" if content.startswith(UTF_16) else "latin-1")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a PEM text file"
        raise ConfigError(
            f"The file that private_key names cannot be read: {reason}.",
            "Set private_key to the path of a PEM file (relative to the project, or absolute), or to the PEM text.",
        ) from None


def _without_waiting(file: Path) -> bytes:
    """The contents of a file or FIFO (such as a shell's `<(command)`), waiting a few seconds for the writer."""
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb") as opened:
        if stat.S_ISFIFO(os.fstat(opened.fileno()).st_mode):
            if not select.select([opened], [], [], KEY_WAIT)[0]:
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            os.set_blocking(opened.fileno(), True)
        return opened.read(MAX_KEY)
