"""Fetches the org's id, if the sign-in does not tell it, by a request that the user is allowed to make."""

import re
from collections.abc import Callable
from typing import Any, Final

from pipelines.errors import AccessDenied, ConfigError
from pipelines.salesforce.api_errors import SalesforceError, explained
from pipelines.salesforce.ids import full_id

ORG_ID: Final = re.compile(r"[0-9A-Za-z]{18}|[0-9A-Za-z]{15}", re.ASCII)


def fetch_org_id(request: Callable[..., Any], api_version: str) -> tuple[str, str]:
    """The org's id from Organization, or from userinfo if the user may not read that; then also the user's id, else "".
    `request` is `Org.request`. Raises a RecorderError."""
    try:
        return str(request("query", {"q": "SELECT Id FROM Organization"})["records"][0]["Id"]), ""
    except SalesforceError as error:
        if error.status == 401 or error.foreign:
            raise explained(error, api_version) from error
    except (KeyError, IndexError, TypeError):
        pass
    try:
        userinfo = request("/services/oauth2/userinfo")
        return str(userinfo["organization_id"]), full_id(str(userinfo.get("user_id") or ""))
    except (SalesforceError, KeyError, TypeError, AttributeError) as error:
        failure = explained(error, api_version) if isinstance(error, SalesforceError) else None
        if failure and not isinstance(failure, AccessDenied | ConfigError):
            raise failure from error
        raise AccessDenied(
            "This user can read neither Organization nor userinfo, so the org's id is unknown.",
            "Give the user read access to Organization, or sign in by client credentials.",
        ) from None
