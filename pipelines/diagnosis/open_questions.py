"""What Salesforce's documentation leaves open: what one page and one job of an org can show of it."""

from collections.abc import Iterator
from typing import Final

from pipelines.diagnosis.examination import Examination
from pipelines.errors import sanitize
from pipelines.recording.feeds import QUERY

UNKNOWN: Final = "not known yet"


def open_questions(found: Examination) -> Iterator[tuple[str, str]]:
    """The questions, and what one page and one job can show of them."""
    page, creators = found.page, {str(record.get("createdById")) for record in found.page}
    yield (
        "Does the listing show other users' jobs?",
        f"yes, of {len(creators)} users on the first page" if len(creators) > 1 else UNKNOWN,
    )
    more = sorted(set().union(*page) - QUERY.jobs.fields.keys()) if page else []
    yield (
        "Does it carry counts or error texts beside the documented fields?",
        UNKNOWN if not page else f"these: {sanitize(', '.join(more))}" if more else "no, on this page",
    )
    extra = sorted(set(found.job or ()) - QUERY.jobs.fields.keys())
    yield "What does a single job's answer add?", sanitize(", ".join(extra)) if extra else UNKNOWN
    v2 = [r for r in page if r.get("jobType") == "V2Query" and r.get("state") == "JobComplete"]
    still = sum(r.get("systemModstamp") == r.get("createdDate") for r in v2)
    yield (
        "Does a finished V2 query's systemModstamp always move?",
        UNKNOWN
        if not v2
        else f"no: {still} of {len(v2)} stand still"
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
    yield "How long does a locator live?", UNKNOWN
    yield "What does jobType=V2Ingest list?", UNKNOWN
