"""Takes over a session of the Salesforce CLI, for an org that `sf` on this machine is signed in to."""

import json
import subprocess
from typing import Any, Final

from pipelines.config.credentials import REDACTED, https_origin
from pipelines.errors import AccessDenied, ConfigError, TemporaryError
from pipelines.salesforce.redaction import redact
from pipelines.salesforce.session import Session

SF_CLI_TIMEOUT: Final = 120  # seconds; the first call of a day checks for updates


def sf_cli_session(org: str) -> Session:
    """The sf CLI's session for an org.

    The host comes from `sf org display`, the token from `sf org auth show-access-token`. A CLI from before May 2026
    lacks that command; its `sf org display` shows the token as well.
    https://developer.salesforce.com/docs/platform/salesforce-cli-reference/guide/cli_reference_org_auth_show-access-token.html
    """
    shown = _sf(["org", "display"], org)
    token = str(shown.get("accessToken") or REDACTED)
    if token.startswith(REDACTED):
        token = str(_sf(["org", "auth", "show-access-token"], org).get("accessToken") or REDACTED)
    if token.startswith(REDACTED):
        raise AccessDenied(
            f"The sf CLI does not show its access token for {org!r}: it prints [REDACTED].",
            f"Update it (sf update). This must show a token: sf org auth show-access-token --target-org {org}",
        )
    instance_url = https_origin("The sf CLI's instanceUrl", shown.get("instanceUrl"))
    return Session(instance_url, token, str(shown.get("id") or ""), username=str(shown.get("username") or ""))


def _sf(command: list[str], org: str) -> dict[str, Any]:
    words = ["sf", *command, "--target-org", org, "--json"]  # --json skips the confirmation before a token is shown
    asked = " ".join(words)
    try:
        run = subprocess.run(words, capture_output=True, timeout=SF_CLI_TIMEOUT, stdin=subprocess.DEVNULL, check=False)
    except FileNotFoundError:
        raise ConfigError(
            "sf_cli_org is set, but there is no `sf` command on the PATH.",
            "Install the Salesforce CLI, extend PATH (cron's is short), or use another sign-in method.",
        ) from None
    except subprocess.TimeoutExpired:
        raise TemporaryError(
            f"`{asked}` did not finish within {SF_CLI_TIMEOUT} s.", "Run it by hand to see why."
        ) from None
    try:
        answer = json.loads(run.stdout)
        result = answer["result"] if run.returncode == 0 else {}
    except (ValueError, KeyError, TypeError, RecursionError):
        answer, result = {}, {}
    if not isinstance(result, dict) or not result:
        said = redact(answer.get("message") or "", 300) if isinstance(answer, dict) else ""
        raise AccessDenied(
            f"`{asked}` failed with exit code {run.returncode}{f': {said}' if said else ''}.",
            f"Run it by hand to see why. You may have to sign in again: sf org login web --alias {org}",
        )
    return result
