"""Takes over a session of the Salesforce CLI, for an org that `sf` on this machine is signed in to."""

import json
import re
import subprocess
from typing import Any, Final

from pipelines.config.credentials import REDACTED, https_origin
from pipelines.errors import AccessDenied, ConfigError, RecorderError, TemporaryError
from pipelines.salesforce.oauth_errors import passes, remedy_for
from pipelines.salesforce.reached_hosts import has_answered
from pipelines.salesforce.redaction import redact
from pipelines.salesforce.session import Session

SF_CLI_TIMEOUT: Final = 120  # seconds; the first call of a day checks for updates
COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
MAX_OUTPUT: Final = 2**20  # characters that are looked at; an answer has some 1,000
CANNOT_RUN: Final = (126, 127)  # exit codes of shell and env: not executable, not found
# What Node.js calls failures of the network: they pass.
NETWORK: Final = re.compile(
    r"\b(EAI_AGAIN|ECONNRESET|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|EPIPE)\b|socket hang ?up|network timeout",
    re.IGNORECASE,
)
NO_SUCH_HOST: Final = re.compile(r"\bENOTFOUND ([A-Za-z0-9.-]+)")
INSTALL: Final = "Install the Salesforce CLI, extend PATH (cron's is short), or use another sign-in method."


def sf_cli_session(org: str) -> Session:
    """The sf CLI's session for an org.

    The host comes from `sf org display`, the token from `sf org auth show-access-token`. A CLI from before May 2026
    lacks that command; its `sf org display` shows the token as well.
    https://developer.salesforce.com/docs/platform/salesforce-cli-reference/guide/cli_reference_org_auth_show-access-token.html
    """
    shown = _sf(["org", "display"], org)
    status = str(shown.get("connectedStatus") or "")
    if passes(status) or NETWORK.search(status) or remedy_for(status):  # its token is one that no longer works
        raise _refused(f"The sf CLI is not connected to {org!r}", status, org)
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
        raise ConfigError("sf_cli_org is set, but there is no `sf` command on the PATH.", INSTALL) from None
    except subprocess.TimeoutExpired:
        raise TemporaryError(
            f"`{asked}` did not finish within {SF_CLI_TIMEOUT} s.", "Run it by hand to see why."
        ) from None
    except OSError as error:  # not executable, or of another machine's format
        raise ConfigError(f"The `sf` command on the PATH cannot be run: {error.strerror}.", INSTALL) from None
    answer = _answer_in(_plain(run.stdout))
    result = answer.get("result")
    if run.returncode == 0 and isinstance(result, dict) and result:
        return result
    if said := redact(answer.get("message") or "", 300):
        name = redact(answer.get("name") or "", 60)
        raise _refused(f"`{asked}` failed with exit code {run.returncode}", said, org, name)
    lines = (line.strip() for line in _plain(run.stderr).splitlines())
    first = redact(next(filter(None, lines), ""), 300)
    what = (
        f"`{asked}` failed with exit code {run.returncode}" if run.returncode else f"`{asked}` printed no JSON result"
    )
    if run.returncode in CANNOT_RUN:
        raise ConfigError(
            f"{what}{f': {first}' if first else ''}.",
            "cron's PATH is short: extend it by the folders of `sf` and `node` (command -v sf node).",
        )
    if first and (NETWORK.search(first) or NO_SUCH_HOST.search(first) or passes(first) or remedy_for(first)):
        raise _refused(what, first, org)
    raise ConfigError(f"{what}{f': {first}' if first else ''}.", f"Run it by hand to see why. {INSTALL}")


def _refused(what: str, said: str, org: str, name: str = "") -> RecorderError:
    if NETWORK.search(said) or passes(said):
        return TemporaryError(f"{what}: {said}.", "Try again later. If it keeps failing, run it by hand.")
    if (unknown := NO_SUCH_HOST.search(said)) and not has_answered(unknown[1]):
        return ConfigError(f"{what}: {said}.", f"Check the spelling of {unknown[1]}, and this machine's network.")
    if unknown:
        return TemporaryError(f"{what}: {said}.", "That host has answered before: try again later.")
    remedy = remedy_for(f"{name}: {said}")
    again = f"You may have to sign in again: sf org login web --alias {org}"
    return AccessDenied(f"{what}: {said}.", f"{remedy or 'Run it by hand to see why.'}\n{again}")


def _plain(output: bytes) -> str:
    """What was printed, without colours."""
    return COLOURS.sub("", output.decode("utf-8-sig", errors="replace")[:MAX_OUTPUT])


def _answer_in(text: str) -> dict[str, Any]:
    """The JSON object of an answer, whatever is printed around it; empty if there is none."""
    decoder = json.JSONDecoder()
    for start in (found.start() for found in re.finditer(r"\{(?=\s*[\"}])", text)):
        try:
            answer, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(answer, dict) and not answer.keys().isdisjoint(("result", "message")):
            return answer
    return {}
