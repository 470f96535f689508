"""A plain client of the demo org, and the recorded answers that the org is compared with."""

import json
import re
from pathlib import Path
from typing import Any

import requests

from pipelines.demo_org.org import DemoOrg

FIXTURES = Path(__file__).parent / "fixtures"
LISTING = "/services/data/v68.0/jobs/query"
INGEST = "/services/data/v68.0/jobs/ingest"
ONE_JOB = re.compile(r"(?:/jobs/(?:query|ingest)/|/services/async/[\d.]+/job/)([^/]+)$")


def recorded(name: str) -> Any:
    """An answer as recorded or documented: see tests/fixtures/README.md."""
    return json.loads((FIXTURES / f"{name}.json").read_bytes())


def types(record: dict[str, Any]) -> dict[str, type]:
    """The field names of a record, with the types of their values."""
    return {name: type(value) for name, value in record.items()}


def listing_calls(org: DemoOrg) -> list[dict[str, str]]:
    """The parameters of each request to the query listing."""
    return [request.query for request in org.requests if request.path.endswith("/jobs/query")]


def detail_calls(org: DemoOrg) -> list[str]:
    """The job id of each request for a single job, to the REST or the Classic API."""
    found = [ONE_JOB.search(request.path) for request in org.requests]
    return [one[1] for one in found if one]


class Client:
    """Sends requests to one org over one persistent connection, signed in with its access token."""

    def __init__(self, org: DemoOrg) -> None:
        self.org, self.http = org, requests.Session()

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.org.access_token}"}
        return self.http.request(method, self.org.instance_url + path, headers=headers, timeout=10, **options)

    def get(self, path: str, **query: str) -> requests.Response:
        return self.ask("GET", path, params=query)

    def pages(self, **filters: str) -> list[list[Any]]:
        """The records of each page of the query listing; the filters are repeated with each locator."""
        page, pages = self.get(LISTING, **filters).json(), []
        while True:
            pages.append(page["records"])
            if page["done"]:
                return pages
            page = self.get(LISTING, queryLocator=locator_of(page), **filters).json()

    def ids(self, **filters: str) -> list[str]:
        return [job["id"] for page in self.pages(**filters) for job in page]


def locator_of(page: dict[str, Any]) -> str:
    return str(page["nextRecordsUrl"]).partition("queryLocator=")[2]
