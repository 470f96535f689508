"""Why records failed, in words: the most frequent reason of some loads, as far as their results were read."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.answers.findings.finding import CheckContext
from pipelines.answers.findings.words import sentence
from pipelines.warehouse.reader import Row


@dataclass(frozen=True)
class MainReason:
    """The reason for which most records of some loads failed; if none is known, most batches, or the jobs."""

    name: str
    count: int
    of: int  # how many failed for any reason, as far as that was read
    what: str  # record, batch or job
    quoted: str | None  # what the name quotes

    @property
    def sentence(self) -> str:
        """A sentence, to be added to others."""
        if self.count >= self.of:
            return f" Reason: {sentence(self.name)}"
        what = "batches" if self.what == "batch" else f"{self.what}s"
        return f" Most often ({self.count:,} of {self.of:,} {what}): {sentence(self.name)}"

    @property
    def clause(self) -> str:
        """The end of a sentence."""
        return f"; {'each time' if self.count >= self.of else 'most often'}: {self.name}"


def main_reason(context: CheckContext, ids: Sequence[str]) -> MainReason | None:
    """None if the results of none of these jobs were read."""
    found = context.query(
        """
        select
            error_code, fields, message, level, count(*) as jobs, cast(sum(records) as bigint) as records,
            cast(sum(batches) as bigint) as batches
        from record_errors
        where org_id = $org and list_contains($ids, id) and (level <> 'record' or records > 0)
        group by error_code, fields, message, level, reason
        order by level = 'record' desc, level = 'batch' desc, records desc, batches desc, jobs desc, reason
        """,
        ids=list(ids),
    )
    if not found:
        return None
    first = found[0]
    amount = {"record": "records", "batch": "batches"}.get(first["level"], "jobs")
    total = sum(row[amount] for row in found if row["level"] == first["level"])
    return MainReason(reason_name(first), first[amount], total, first["level"], first["message"])


def reason_name(row: Row) -> str:
    """'REQUIRED_FIELD_MISSING on Name: Required fields are missing: [Name]', as far as that is known."""
    fields = f" on {row['fields'].replace(',', ', ')}" if row["fields"] else ""
    code = row["error_code"] or ("a reason without a code" if fields or not row["message"] else "")
    return ": ".join(filter(None, (f"{code}{fields}", row["message"])))
