"""Answers that are not the org's own: a maintenance page, a redirect, a proxy that requires a sign-in."""

import re
from typing import Final
from urllib.parse import urljoin, urlsplit

from requests import Response

from pipelines.errors import ConfigError, NoResponse, RecorderError, sanitize
from pipelines.salesforce.proxies import refused_by_proxy

HTML: Final = re.compile(rb"<!doctype html|<html|<head|<body", re.IGNORECASE)
MAINTENANCE: Final = re.compile(
    rb"maintenance|be back (?:shortly|soon)|temporarily (?:unavailable|down)|service (?:is )?unavailable|downtime",
    re.IGNORECASE,
)
BEGINNING: Final = 2**16  # bytes of a response that are looked at


def foreign_answer(response: Response) -> RecorderError | None:
    """What such an answer means, whatever its status; None for any other."""
    url = urlsplit(response.url)
    host = f"{url.scheme}://{url.netloc}"
    content = response.content[:BEGINNING]
    target = redirect_target(response)
    if (HTML.search(content) and MAINTENANCE.search(content)) or "maintenance" in target.lower():
        return NoResponse(  # none of the org's own
            f"{host} is down for maintenance: it answered with a page that says so (HTTP {response.status_code}).",
            "See https://status.salesforce.com. Nothing was changed; try again later.",
        )
    if 300 <= response.status_code < 400:
        return ConfigError(
            f"{host}{sanitize(url.path, 80)} answered with HTTP {response.status_code}, a redirect to "
            f"{target or 'nowhere: it has no Location'}.",
            "Redirects are not followed, so that keys and token stay with your org. If that is its My Domain, set "
            "instance_url to it.",
        )
    return refused_by_proxy(response.url, response.status_code)


def redirect_target(response: Response) -> str:
    """Where a redirect leads, without what may be secret in it: its query, user and password; "" if it is none."""
    location = response.headers.get("Location", "") if 300 <= response.status_code < 400 else ""
    try:
        found = urlsplit(urljoin(response.url, location)) if location else None
        port = f":{found.port}" if found and found.port else ""
    except ValueError:
        return "an invalid address"
    return sanitize(f"{found.scheme}://{found.hostname or ''}{port}{found.path}", 160) if found else ""
