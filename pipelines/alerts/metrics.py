"""`metrics`: the state of the record as a text file, which node_exporter's textfile collector hands to Prometheus.

Few samples, whatever the orgs are: no label is a job, a user or an object. The most important come first, and what is
more than `MAX_SAMPLES` is left out and counted. https://prometheus.io/docs/practices/naming/
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from pipelines.answers.findings.finding import Finding
from pipelines.answers.org_choice import chosen_orgs
from pipelines.answers.output_file import STDOUT, check_output, write_output
from pipelines.config.project import version
from pipelines.warehouse.reader import Row, Warehouse

MAX_SAMPLES: Final = 500
MODE: Final = 0o644  # node_exporter runs as another user
OPTION: Final = "--output FILE"
BEGINNING: Final = b"# help bulk_jobs_"  # of a file that this may replace, in lower case

# The families in the order of their importance: name without its prefix, labels beside the org's, meaning.
FAMILIES: Final = {
    "last_complete_listing_timestamp_seconds": (("feed",), "Time of the newest complete listing of a feed"),
    "last_complete_listing_age_seconds": (("feed",), "Age of that listing when this file was written"),
    "findings": (("kind",), "Problems that `check` reports, by kind; kinds without any have no sample"),
    "findings_open": ((), "Problems that `check` reports, of all kinds"),
    "findings_urgent": ((), "Of these, urgent ones"),
    "jobs_last_24h": (("kind",), "Jobs created in the 24 hours before the newest complete listing"),
    "failures_last_24h": (
        ("kind",),
        "Of these, jobs that failed, were aborted, or lost records",
    ),
    "limit_used": (("limit",), "How much of a limit of the whole org was used when it was last read"),
    "limit_max": (("limit",), "That limit"),
    "load_duration_seconds": (("feed",), "How long the newest load took to read the listing of a feed"),
}
ORGS: Final = """
select org_id, display_name as org from recorded_orgs where left_settings_at is null order by display_name, org_id
"""
LISTINGS: Final = """
select f.org_id, f.feed, f.as_of, epoch(l.finished_at - coalesce(l.restarted_at, l.started_at)) as seconds
from recorded_feeds as f
left join listings as l on l.org_id = f.org_id and l.feed = f.feed
where f.is_current
qualify row_number() over (partition by f.org_id, f.feed order by l.started_at desc) = 1
order by f.org_id, f.feed desc
"""
JOBS: Final = """
select o.org_id, k.kind, count(j.id) as jobs, count(f.id) as failures
from recorded_orgs as o
cross join (select unnest(['query', 'load']) as kind) as k
left join all_jobs as j on j.org_id = o.org_id and j.kind = k.kind
    and j.began_at > o.as_of - interval 24 hours and j.began_at <= o.as_of + interval 5 minutes
left join failures as f on f.org_id = j.org_id and f.id = j.id
group by all
order by o.org_id, k.kind
"""
LIMITS: Final = """
select r.org_id, r.limit_name as "limit", max_by(r.used, (r.read_at, r.source)) as used,
    max_by(r.max, (r.read_at, r.source)) as max
from limit_readings as r
inner join recorded_orgs as o on o.org_id = r.org_id and r.read_at >= o.as_of - interval 72 hours
where r.app = ''
group by all
order by r.org_id, r.limit_name
"""

Sample = tuple[tuple[str, ...], float]


def write_metrics(warehouse: Warehouse, found: Sequence[Finding], output: Path, names: Sequence[str]) -> int:
    """Writes the file, which is replaced in one step; returns how many samples it has. Raises ConfigError if it cannot
    be written, or is another file."""
    check_output(output, OPTION, "file of these metrics", BEGINNING)
    text, samples = as_text(warehouse, found, names)
    if output != STDOUT and output.is_file():
        with suppress(OSError):  # another user's: then its mode stays
            os.chmod(output, MODE)
    before = os.umask(0o777 & ~MODE)
    try:
        write_output(output, OPTION, text)
    finally:
        os.umask(before)
    return samples


def as_text(warehouse: Warehouse, found: Sequence[Finding], names: Sequence[str]) -> tuple[str, int]:
    """The metrics of the orgs of these names (without names, of all) in Prometheus' text format, and how many."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest  # noqa: PLC0415 - nothing else needs it

    registry = CollectorRegistry()
    asked = set(chosen_orgs(warehouse, names))
    orgs = {row["org_id"]: row["org"] for row in warehouse.rows(ORGS) if row["org_id"] in asked}
    samples = _samples(warehouse, [one for one in found if one.org_id in orgs], orgs)
    Gauge("bulk_jobs_info", "Version of the recorder", ["version"], registry=registry).labels(version()).set(1)
    written = Gauge("bulk_jobs_metrics_timestamp_seconds", "Time as of which this file was written", registry=registry)
    written.set(warehouse.clock.timestamp())
    room, left_out = MAX_SAMPLES - 3, 0
    for family, (labels, meaning) in FAMILIES.items():
        gauge = Gauge(f"bulk_jobs_{family}", meaning, ["org_id", "org", *labels], registry=registry)
        for (org_id, *rest), value in samples[family]:
            if room:
                gauge.labels(org_id, orgs[org_id], *rest).set(value)
            left_out += not room
            room -= bool(room)
    Gauge("bulk_jobs_samples_left_out", f"Samples beyond {MAX_SAMPLES}", registry=registry).set(left_out)
    return generate_latest(registry).decode(), MAX_SAMPLES - room


def _samples(warehouse: Warehouse, found: Sequence[Finding], orgs: dict[str, str]) -> dict[str, list[Sample]]:
    def rows(sql: str) -> Iterator[Row]:
        return (row for row in warehouse.rows(sql) if row["org_id"] in orgs)

    samples: dict[str, list[Sample]] = {family: [] for family in FAMILIES}
    for row in rows(LISTINGS):
        labels = row["org_id"], row["feed"]
        samples["last_complete_listing_timestamp_seconds"].append((labels, row["as_of"].timestamp()))
        age = max((warehouse.clock - row["as_of"]).total_seconds(), 0)
        samples["last_complete_listing_age_seconds"].append((labels, age))
        if row["seconds"] is not None:
            samples["load_duration_seconds"].append((labels, row["seconds"]))
    kinds = Counter((one.org_id, one.kind) for one in found)
    samples["findings"] = [((org_id, kind), n) for (org_id, kind), n in sorted(kinds.items())]
    every, urgent = Counter(one.org_id for one in found), Counter(one.org_id for one in found if one.urgent)
    samples["findings_open"] = [((org_id,), every[org_id]) for org_id in orgs]
    samples["findings_urgent"] = [((org_id,), urgent[org_id]) for org_id in orgs]
    for row in rows(JOBS):
        samples["jobs_last_24h"].append(((row["org_id"], row["kind"]), row["jobs"]))
        samples["failures_last_24h"].append(((row["org_id"], row["kind"]), row["failures"]))
    for row in rows(LIMITS):
        samples["limit_used"].append(((row["org_id"], row["limit"]), row["used"]))
        samples["limit_max"].append(((row["org_id"], row["limit"]), row["max"]))
    return samples
