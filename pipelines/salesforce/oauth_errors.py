"""What the refusals of a sign-in mean, by their words: which pass by themselves, and what to do about each other one.

Sources: help.salesforce.com xcloud.remoteaccess_oauth_flow_errors, and forum threads about these errors.
"""

from typing import Final

from pipelines.config.project import command_for
from pipelines.errors import AccessDenied, RecorderError, TemporaryError

PASSING: Final = (
    "login rate exceeded", "rate_limit_exceeded", "unknown_error", "retry your request", "server_error",
    "temporarily_unavailable", "temporarily unavailable",
)  # fmt: skip
# The first one that is found in `error: error_description` counts.
REMEDIES: Final = {
    "not supported on this domain": "instance_url must be the org's My Domain, https://<name>.my.salesforce.com; "
    "login.salesforce.com and test.salesforce.com do not support this flow.",
    "no client credentials user": "The app has no run-as user: Setup, External Client App Manager, the app, "
    "Policies, Client Credentials Flow, Run As.",
    "user hasn't approved": "Pre-authorize the user: in the app's OAuth policies, set Permitted Users to "
    "'Admin approved users are pre-authorized', and add the user's profile or permission set.",
    "ip restricted": "This machine's IP address is not allowed, or not at this hour: add it to the Login IP Ranges of "
    "the user's profile (Setup, Profiles; Login Hours are there, too), or relax IP restrictions in the app's OAuth "
    "policies.",
    "trial has expired": "The org's trial is over: no one can sign in. Have Salesforce extend or convert it, or record "
    "another org.",
    "inactive organization": "The org is locked, closed or suspended, or the sandbox was deleted. Ask Salesforce, or "
    "remove the org from the settings.",
    "expired access/refresh token": "The token has expired or was revoked: sign in again. How long one lasts is set in "
    "the app's OAuth policies (Refresh Token Policy).",
    "invalid_client": "Check client_id and client_secret (Setup, External Client App Manager, the app, "
    "OAuth Settings, Consumer Key and Secret). A new app takes about ten minutes to become active.",
    "assertion": "Check username, login_url, the certificate in the app, and this machine's clock.",
    "expired": "Check this machine's clock: an assertion is valid for three minutes.",
    "inactive": "The user is inactive or may not use the API: Setup, Users.",
    "unsupported_grant_type": "Enable this flow in the app's OAuth settings.",
    "not enabled": "Enable this flow in the app's OAuth settings.",
}
SAME: Final = {
    "inactive_org": "inactive organization",
    "trial expired": "trial has expired",
    "expired token": "expired access/refresh token",
    "token expired": "expired access/refresh token",
    "expired_token": "expired access/refresh token",
    "refreshtokenautherror": "expired access/refresh token",
    "ip address": "ip restricted",
    "login hours": "ip restricted",
}
AUDIENCE: Final = (
    "login_url must be https://login.salesforce.com, or https://test.salesforce.com for a sandbox. For an org in a "
    "government cloud it is that cloud's login host: https://login.salesforce.mil for a host that ends in .mil, "
    "otherwise its instance, such as https://gs0.salesforce.com."
)


def passes(error: str) -> bool:
    """Whether a refusal is likely to be none an hour later."""
    return any(words in error.lower() for words in PASSING)


def remedy_for(error: str) -> str:
    """What to do about a refusal; "" if it is not a known one."""
    said = error.lower()
    if "audience" in said or "invalid aud" in said:
        return AUDIENCE
    for words, known in SAME.items():
        said = said.replace(words, known)
    return next((remedy for words, remedy in REMEDIES.items() if words in said), "")


def refused(error: str) -> RecorderError:
    """The RecorderError for what a token endpoint answers in place of a token."""
    if passes(error):
        return TemporaryError(f"Salesforce cannot process the sign-in right now ({error}).", "Try again later.")
    return AccessDenied(
        f"Salesforce refused the sign-in ({error}).",
        remedy_for(error) or f"Check the sign-in keys in .dlt/secrets.toml, then run `{command_for('doctor')}`.",
    )
