"""Questions that Salesforce's documentation leaves open, answered from one page and one job of an org."""

from collections.abc import Iterator
from typing import Final

from pipelines.diagnosis.examination import Diagnosis
from pipelines.errors import sanitize
from pipelines.recording.feeds import QUERY

UNKNOWN: Final = "unknown so far"


def open_questions(found: Diagnosis) -> Iterator[tuple[str, str]]:
    """Each question with its answer."""
    page, creators = found.page, {str(record.get("createdById")) for record in found.page}
    yield (
        "Does the listing show other users' jobs?",
        f"yes, jobs of {len(creators)} users on the first page" if len(creators) > 1 else UNKNOWN,
    )
    more = sorted(set().union(*page) - QUERY.jobs.fields.keys()) if page else []
    yield (
        "Does it have counts or error texts in addition to the documented fields?",
        UNKNOWN if not page else f"yes: {sanitize(', '.join(more))}" if more else "no, on this page",
    )
    extra = sorted(set(found.job or ()) - QUERY.jobs.fields.keys())
    yield "Which fields do a single job's details add?", sanitize(", ".join(extra)) if extra else UNKNOWN
    v2 = [r for r in page if r.get("jobType") == "V2Query" and r.get("state") == "JobComplete"]
    still = sum(r.get("systemModstamp") == r.get("createdDate") for r in v2)
    yield (
        "Does systemModstamp always change when a V2 query finishes?",
        UNKNOWN
        if not v2
        else f"no: not for {still} of {len(v2)}"
        if still
        else f"it did for all {len(v2)} on this page",
    )
    created = [str(r.get("createdDate")) for r in page]
    order = (
        "oldest first" if created == sorted(created) else "newest first" if created == sorted(created)[::-1] else "none"
    )
    yield "In which order are jobs listed?", f"by createdDate: {order}, on this page" if len(page) > 2 else UNKNOWN
    classic = {str(r.get("state")) for r in page if r.get("jobType") == "Classic"}
    yield (
        "Does a Classic job ever become JobComplete in the listing?",
        "yes" if "JobComplete" in classic else UNKNOWN,
    )
    yield "How long is a locator valid?", UNKNOWN
    yield "What does jobType=V2Ingest list?", UNKNOWN
