"""`init`: asks for an org's keys or takes them from options, writes them to .dlt/secrets.toml, and tries them."""

import getpass
import os
import shlex
import sys
import tomllib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Final

from pipelines.config.credentials import METHODS, SalesforceCredentials
from pipelines.config.dlt_context import active, use_project
from pipelines.config.orgs import MAX_NAME, NAME
from pipelines.config.own_settings import CREDENTIALS, ORGS, SECRETS
from pipelines.config.project import INSTALLED, shown_path
from pipelines.config.secrets_file import keys_there, section_of, with_keys
from pipelines.diagnosis.doctor import doctor
from pipelines.errors import ConfigError, UsageError
from pipelines.warehouse.atomic_file import replacing

SIGN_INS: Final = dict(zip(("client-credentials", "jwt", "sf", "token"), METHODS, strict=True))
# An option that says which way is meant, if --sign-in does not.
TELLING: Final = {"sf_cli_org": "sf", "private_key": "jwt", "username": "jwt", "client_id": "client-credentials"}
SECRET_KEYS: Final = ("client_secret", "access_token")
ASKED: Final = {
    "instance_url": "My Domain of the org (https://….my.salesforce.com)",
    "client_id": "Consumer key of the app",
    "client_secret": "Consumer secret of the app (not shown)",
    "username": "Username of the integration user",
    "private_key": "Path of the private key, in PEM format",
    "sf_cli_org": "Alias or username that `sf org list` shows",
    "access_token": "Access token (not shown)",
}
ANOTHER: Final = "give it another name: --org NAME"
MOVE: Final = f"move these keys to [{ORGS}.NAME.{CREDENTIALS[-1]}] (docs/setup.md, Many orgs)"
MAX_SECRET: Final = 100_000  # bytes


def init(sign_in: str, org: str, given: Mapping[str, str], secret_file: str, replace: bool) -> int:
    """Writes the keys; prints what the doctor finds with them, and the line for cron; returns the doctor's exit code.

    Raises ConfigError, and writes nothing, if a key is missing or cannot be one, or if the file has keys of this org
    and they may not be replaced."""
    file = Path(active().settings_dir) / SECRETS
    section = section_of(org)
    _check_place(file, org)
    before = file.read_text(encoding="utf-8-sig") if file.is_file() else ""
    _check_orgs(tomllib.loads(before), org)
    if (there := keys_there(tomllib.loads(before), section)) and not replace:
        question = f"{file} already has keys of this org ({', '.join(there)}). Replace them?"
        if not _in_terminal() or not _ask(input, f"{question} [y/N] ").lower().startswith("y"):
            raise ConfigError(
                f"{file} has [{'.'.join(section)}] already, with {', '.join(there)}.",
                "Nothing was changed. To replace these keys, add --replace, which keeps the old file next to it; "
                f"to record another org as well, {ANOTHER if org else MOVE}.",
            )
    keys = _keys(sign_in or _method(given), given, secret_file)
    credentials = SalesforceCredentials.from_init_value(dict(keys))
    credentials.on_resolved()  # raises ConfigError for what cannot be a key
    keys = {key: getattr(credentials, key) for key in keys}  # the host of a longer address
    try:
        kept = _write(file, with_keys(before, section, keys), keep=bool(there))
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}.", "Let this user write there.") from None
    print(f"Wrote {file} (mode 600).", *([f"The file as it was is {kept}."] if kept else []), sep="\n")
    use_project()
    print()
    if code := doctor():
        print("\nOnce that is fixed, this crontab line (crontab -e) records the org every hour:")
    else:
        print("\nNow load, and look at it:", f"  {_command()} load", f"  {_command()} report", sep="\n")
        print("\nThis crontab line (crontab -e) records the org every hour:")
    print(f"  {cron_line()}")
    return code


def cron_line() -> str:
    """A crontab's line for this recorder, wherever its files are."""
    where = f"cd {shlex.quote(active().project)} && " if INSTALLED else ""
    python = shlex.quote(os.path.abspath(sys.executable))
    return f"17 * * * * {where}{python} -m pipelines.query_jobs load --quiet".replace("%", "\\%")


def _command() -> str:
    return "bulk-jobs" if INSTALLED else f"{shlex.quote(shown_path(sys.executable))} -m pipelines.query_jobs"


def _in_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _check_place(file: Path, org: str) -> None:
    if org and (not NAME.fullmatch(org) or len(org) > MAX_NAME):
        raise UsageError(
            f"--org {org[:60]!r}: an org cannot have this name.",
            f"Use letters and digits, with single `-` or `_` between them, at most {MAX_NAME} characters.",
        )
    foreign = [path for path in (file, file.with_name("config.toml")) if path.is_file()]
    if INSTALLED and foreign and not any(path in active().settings.files for path in foreign):
        raise ConfigError(
            f"{foreign[0].parent} belongs to another program that uses dlt: the recorder would take its settings.",
            "Run this in a folder of its own.",
        )


def _check_orgs(settings: Mapping[str, object], org: str) -> None:
    orgs = settings.get(ORGS)
    if not org and isinstance(orgs, dict) and orgs:
        raise ConfigError(
            f"The settings have [{ORGS}.{next(iter(orgs))}]: each org needs a name.",
            "Give this one a name: --org NAME.",
        )
    if org and keys_there(settings, CREDENTIALS):
        raise ConfigError(
            "The settings have the credentials of a single org, which has no name.",
            f"First {MOVE}; its history continues.",
        )


def _method(given: Mapping[str, str]) -> str:
    """The way to sign in that the options mean; if they leave it open, the one that is chosen."""
    if meant := next((name for key, name in TELLING.items() if given.get(key)), ""):
        return meant
    if not _in_terminal():
        raise UsageError("Which way to sign in?", f"Add --sign-in with one of {', '.join(SIGN_INS)}.")
    print("How should it sign in?")
    for number, (method, keys) in enumerate(METHODS.items(), 1):
        print(f"  {number}. {method}{' (recommended)' if number == 1 else ''}: {', '.join(keys)}")
    answer = _ask(input, "Number [1]: ") or "1"
    if answer not in map(str, range(1, len(SIGN_INS) + 1)):
        raise ConfigError(f"{answer[:40]!r} is not one of these numbers.", "Nothing was changed.")
    return list(SIGN_INS)[int(answer) - 1]


def _keys(sign_in: str, given: Mapping[str, str], secret_file: str) -> dict[str, str]:
    wanted = METHODS[SIGN_INS[sign_in]]
    secret = next((key for key in SECRET_KEYS if key in wanted), "")
    spare = sorted(key for key, value in given.items() if value and key not in (*wanted, "login_url"))
    if spare:
        raise UsageError(
            f"{', '.join(spare)}: not part of the {SIGN_INS[sign_in]} sign-in.", f"It has: {', '.join(wanted)}."
        )
    keys = {key: value for key, value in given.items() if value}
    if secret and secret_file:
        keys[secret] = _secret_from(secret_file)
    missing = [key for key in wanted if not keys.get(key)]
    if missing and not _in_terminal():
        options = [f"--{key.replace('_', '-')}" if key not in SECRET_KEYS else "--secret-file" for key in missing]
        raise UsageError(f"Missing: {', '.join(options)}.", "In a terminal, init asks for them.")
    for key in missing:
        keys[key] = _ask(getpass.getpass if key in SECRET_KEYS else input, f"{ASKED[key]}: ")
    if "-----BEGIN" not in keys.get(
        "private_key", "-----BEGIN"
    ):  # relative paths start at the project, and init may run elsewhere
        keys["private_key"] = os.path.abspath(os.path.expanduser(keys["private_key"]))
    return {key: keys[key] for key in (*wanted, "login_url") if keys.get(key)}


def _ask(ask: Callable[[str], str], question: str) -> str:
    try:
        return ask(question).strip()
    except EOFError:  # Ctrl-D
        raise ConfigError("\nNo answer.", "Nothing was changed.") from None


def _secret_from(file: str) -> str:
    try:
        with nullcontext(sys.stdin) if file == "-" else open(file, encoding="utf-8") as opened:
            secret = opened.read(MAX_SECRET).strip()
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"--secret-file {file} cannot be read: {said}.", "Nothing was changed.") from None
    if not secret:
        raise ConfigError(f"--secret-file {file} is empty.", "Nothing was changed.")
    return secret


def _write(file: Path, text: str, keep: bool) -> Path | None:
    """Writes the file, readable by this user alone at any moment; returns where the old one is kept."""
    file.parent.mkdir(exist_ok=True)
    kept = None
    if keep:
        kept = file.with_name(f"{file.name}.{datetime.now():%Y%m%d-%H%M%S}")  # noqa: DTZ005 - the user's own clock
        with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
            copy.write(file.read_bytes())
    if file.exists():
        file.chmod(0o600)  # what replaces it takes over its mode
    with replacing(file) as new:
        new.chmod(0o600)
        new.write_text(text, encoding="utf-8")
    return kept
