"""The numbers of the report, computed independently: in plain Python, from the planted rows, without any view."""

import bisect
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from planted import kind

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
Tables = dict[str, list[dict[str, Any]]]
Numbers = dict[str, Any]
NAMES = {"query": "queries", "load": "loads", None: "jobs_of_unknown_kind"}
KINDS = {"query": "queries", "load": "loads", None: "jobs of an unknown kind"}
FAILED = ("failed", "every record failed")
ENDED_WELL = ("partly failed", "done", "done: record failures unknown")
WRONG = ("aborted", "partly failed", "every record failed", "failed")


class OrgTruth:
    """One org of a warehouse; `tables` has the rows as planted, with defaults."""

    def __init__(self, tables: Tables, org_id: str, days: int) -> None:
        own = {name: [row for row in rows if row["org_id"] == org_id] for name, rows in tables.items()}
        self.jobs, self.limits = own["query_jobs"], own.get("org_limits", [])
        self.listings = own["listings"]
        self.details = {row["id"]: row for row in own.get("job_details", [])}
        self.errors = own.get("record_errors", [])
        self.unlisted = own.get("unlisted_jobs", [])
        self.users = _user_names(own.get("users", []))
        self.ends = {row.get("restarted_at") or row["started_at"]: row["finished_at"] for row in self.listings}
        complete = [row for row in self.listings if row["filters"] == "{}"]
        self.proofs = sorted(row.get("restarted_at") or row["started_at"] for row in complete)
        self.as_of = max(self.proofs or self.ends)
        self.covered: list[tuple[datetime, datetime]] = []
        for at in self.proofs:
            if self.covered and at - WEEK <= self.covered[-1][1]:
                self.covered[-1] = (self.covered[-1][0], at)
            else:
                self.covered.append((at - WEEK, at))
        first = min((began.date() for job in self.jobs if (began := self.began(job))), default=None)
        self.until = self.as_of.date()
        least = self.until - timedelta(days=min(days, 7) - 1)
        self.since = min(max(self.until - timedelta(days=days - 1), min(first or self.until, self.until)), least)
        self.first = first
        self.v2_created = sorted(
            job["created_date"] for job in self.jobs if job["job_type"] == "V2Query" and job["created_date"]
        )
        self.start, self.end = at_midnight(self.since), at_midnight(self.until) + DAY

    # --- the jobs ---

    def began(self, job: Numbers) -> datetime | None:
        """Its creation, if plausible: the Bulk API existed, and it was at most five minutes after the listing that
        showed it."""
        created, shown = job["created_date"], self.ends.get(job["observed_at"], job["observed_at"])
        plausible = created and datetime(2009, 1, 1, tzinfo=UTC) <= created <= shown + timedelta(minutes=5)
        return created if plausible else None

    def ended(self, job: Numbers) -> tuple[datetime | None, bool]:
        """Its latest possible end, and whether a system_modstamp gives it to the second."""
        if job["state"] not in ("JobComplete", "Failed", "Aborted", "Closed"):
            gone = [row for row in self.unlisted if row["id"] == job["id"] and not row.get("listed_again_at")]
            return (self.ends.get(gone[0]["unlisted_at"], gone[0]["unlisted_at"]) if gone else None), False
        shown = self.ends.get(job["observed_at"], job["observed_at"])
        stamp = job["system_modstamp"]
        if stamp > job["created_date"] and stamp <= shown + timedelta(minutes=5):
            return stamp, True
        return shown, False

    def outcome(self, job: Numbers) -> str:
        state = {"Failed": "failed", "Aborted": "aborted", "InProgress": "unfinished", "Open": "unfinished"}
        if job["state"] in state:
            return state[job["state"]]
        known = self.details.get(job["id"], {})
        processed, lost = known.get("number_records_processed"), known.get("number_records_failed") or 0
        batches, lost_batches = known.get("number_batches_total"), known.get("number_batches_failed") or 0
        every_record = lost > 0 and processed is not None and lost >= processed
        every_batch = lost_batches > 0 and lost_batches == batches and (processed or 0) <= lost
        if every_record or every_batch:
            return "every record failed"
        return "partly failed" if lost or lost_batches else "done"

    def shown_outcome(self, job: Numbers) -> str:
        """The outcome as drawn: what is not known of records, and jobs that went before they ended, have their own."""
        outcome = self.outcome(job)
        if outcome == "unfinished":
            gone = [row for row in self.unlisted if row["id"] == job["id"] and not row.get("listed_again_at")]
            return "gone unfinished" if gone else outcome
        counted = self.details.get(job["id"], {}).get("number_records_failed") == 0
        return ENDED_WELL[-1] if outcome == "done" and job["job_type"] != "V2Query" and not counted else outcome

    def shown(self) -> list[Numbers]:
        return [job for job in self.jobs if job["created_date"] and self.start <= job["created_date"] < self.end]

    def by_user(self, job: Numbers) -> str:
        return self.users.get(job["created_by_id"], job["created_by_id"]) or "?"

    # --- coverage ---

    def share(self, start: datetime, end: datetime) -> float:
        """How much of a period is covered, in percent."""
        seconds = sum(max((min(b, end) - max(a, start)).total_seconds(), 0) for a, b in self.covered)
        return 100 * seconds / (end - start).total_seconds()

    def covered_hours(self) -> list[datetime]:
        hours = [self.start + n * HOUR for n in range(int((self.end - self.start) / HOUR))]
        return [hour for hour in hours if self.share(hour, hour + HOUR) == 100]

    # --- the pictures ---

    def volume(self) -> tuple[Numbers, list[Numbers]]:
        jobs = self.shown()
        days = Counter(job["created_date"].date() for job in jobs)
        covered_days = [day for day in days if self.share(at_midnight(day), at_midnight(day) + DAY) == 100]
        fullest = min(covered_days, key=lambda day: (-days[day], day), default=None)
        numbers: Numbers = {"jobs": len(jobs), "since": self.since, "until": self.until, "bin": "day"}
        numbers |= {name: sum(kind(job["operation"]) == what for job in jobs) for what, name in NAMES.items()}
        numbers |= {"fullest_from": fullest, "fullest_jobs": days[fullest] if fullest else None}
        numbers["ended"] = {}
        for what, name in NAMES.items():
            how = Counter(self.shown_outcome(job) for job in jobs if kind(job["operation"]) == what)
            ended, failed = sum(how[one] for one in (*FAILED, *ENDED_WELL)), sum(how[one] for one in FAILED)
            share = 100 * failed / ended if ended else None
            numbers["ended"][name] = {"jobs": ended, "failed": failed, "percent": share}
        numbers["record_failures_unknown"] = sum(self.shown_outcome(job) == ENDED_WELL[-1] for job in jobs)
        since = [day for day in (self.first, (self.covered[0][0] + DAY).date() if self.covered else None) if day]
        for n in (7, 30):
            today = at_midnight(self.until)
            spans = [(today - n * DAY, today), (today - 2 * n * DAY, today - n * DAY)]
            if since and max(since) <= spans[1][0].date():
                now, before = (sum(bool(job["created_date"]) and a <= job["created_date"] < b for job in self.jobs)
                               for a, b in spans)  # fmt: skip
                covered = [n * self.share(*span) / 100 for span in spans]
                numbers |= {
                    f"jobs_last_{n}_whole_days": now, f"jobs_{n}_whole_days_before": before,
                    f"covered_days_of_last_{n}": covered[0], f"covered_days_of_{n}_before": covered[1],
                    f"change_percent_{n}_whole_days":
                        100 * (now - before) / before if before and covered == [n, n] else None,
                }  # fmt: skip
        groups = sorted({self.shown_outcome(job) for job in jobs})
        lines: dict[Any, Counter[str]] = defaultdict(Counter)
        for job in jobs:
            lines[job["created_date"].date(), kind(job["operation"])][self.shown_outcome(job)] += 1
        return numbers, [{"from": day, "kind": what, **{state: line[state] for state in groups}}
                         for (day, what), line in lines.items()]  # fmt: skip

    def failures(self) -> tuple[Numbers, list[Numbers]]:
        from report_truth_reasons import main_reasons, reason_of  # builds on this module

        jobs = [(job, self.outcome(job)) for job in self.shown() if self.outcome(job) in WRONG]
        numbers: Numbers = {"jobs": len(jobs), "since": self.since, "until": self.until}
        numbers |= {outcome.replace(" ", "_"): sum(how == outcome for _, how in jobs) for outcome in WRONG}
        end = min(self.end, self.as_of)
        rows = []
        reasons: dict[Any, list[Numbers]] = defaultdict(list)
        for job, outcome in jobs:
            reasons[*series(job), outcome, reason_of(self, job)[0]].append(job)
        for (type_, operation, object_, _, outcome, _), alike in reasons.items():
            newest = max(alike, key=lambda job: (job["created_date"], job["id"]))
            rows.append({
                "user": self.by_user(newest), "operation": operation or "?", "object": object_ or "?",
                "type": type_ or "?", "outcome": outcome, "reason": reason_of(self, newest)[1] or "not known", "jobs": len(alike),
                "last 7 days": sum(job["created_date"] > end - WEEK for job in alike),
                "last on": newest["created_date"].date(),
            })  # fmt: skip
        numbers["jobs_last_7_days"] = sum(row["last 7 days"] for row in rows)
        by_reason = main_reasons(self)
        numbers |= {"reasons": by_reason[:10], "reasons_more": max(len(by_reason) - 10, 0)}
        most = max(rows, key=lambda row: (row["last 7 days"], row["jobs"]), default={"last 7 days": 0})
        most = most if most["last 7 days"] else {}
        numbers["most_often_in_7_days"] = most.get("last 7 days")
        for name in ("user", "operation", "object", "type", "outcome", "reason"):
            numbers[f"most_often_{name}"] = most.get(name)
        return numbers, rows

    def streaks(self) -> tuple[Numbers, list[Numbers]]:
        found = []
        members: dict[Any, list[tuple[datetime, bool, Numbers]]] = defaultdict(list)
        for job in self.jobs:
            if (began := self.began(job)) and self.outcome(job) in (*FAILED, "partly failed", "done"):
                members[series(job)].append((began, self.outcome(job) in FAILED, job))
        for jobs in members.values():
            run: list[datetime] = []
            ordered = sorted(jobs, key=lambda one: one[:2])
            for n, (at, failed, job) in enumerate(ordered):
                run = [*run, at] if failed else []
                if run and (n + 1 == len(ordered) or not ordered[n + 1][1]):
                    found.append((run, ordered[n + 1][0] if n + 1 < len(ordered) else None, job))
        numbers: Numbers = {"streaks": 0, "ongoing": [], "abandoned": [], "recovered": 0, "more": 0}
        rows = []
        for run, ended, job in sorted(found, key=lambda one: (-len(one[0]), one[0][0])):
            if len(run) < 3 or (ended or run[-1]) < self.start or run[0] >= self.end:
                continue
            name = f"{job['operation'] or '?'} of {job['object'] or '?'} ({job['job_type'] or '?'})"
            silence = max(DAY, 3 * (run[-1] - run[0]) / (len(run) - 1))
            known = {"series": name, "user": self.by_user(job), "failures": len(run), "failing_since": run[0],
                    "last_failure_at": run[-1]}  # fmt: skip
            numbers["streaks"] += 1
            until: Any = ended
            if ended:
                numbers["recovered"] += 1
            elif run[-1] + silence >= self.as_of:
                numbers["ongoing"].append(known)
                until = "still failing"
            else:
                numbers["abandoned"].append(known)
                until = f"last failed {run[-1]:%Y-%m-%d %H:%M} UTC"
            rows.append(
                {"what": f"{name} · {self.by_user(job)}", "failures": len(run), "since": run[0], "until": until}
            )
        numbers["more"] = max(len(numbers["ongoing"]) + len(numbers["abandoned"]) - 10, 0)
        return numbers, rows

    def coverage(self) -> tuple[Numbers, list[Numbers]]:
        listed = [at for at in self.proofs if self.start <= at < self.end]
        pairs = list(zip(self.proofs, self.proofs[1:], strict=False))
        gaps = [b - a for a, b in pairs if b - a <= WEEK and b > self.start and a < self.end]
        holes = [(a[1], b[0]) for a, b in zip(self.covered, self.covered[1:], strict=False) if a[1] < b[0]]
        holes = [(a, b) for a, b in holes if b > self.start and a < self.end]
        last: dict[date, Numbers] = {}
        complete = {row["listing_id"] for row in self.listings if row["filters"] == "{}"}
        for row in sorted(self.limits, key=lambda row: row["asked_at"]):
            if row["limit_name"] == "DailyBulkV2QueryJobs" and row["listing_id"] in complete and row["max"]:
                last[row["asked_at"].date()] = row
        counted: list[datetime] = []
        unseen = 0
        for day, row in last.items():  # each day with 24 hours of its own, not overlapping those before it
            at = row["asked_at"]
            if not counted or at - counted[-1] >= DAY - timedelta(minutes=5):
                counted.append(at)
                if self.since <= day <= self.until:
                    unseen += max(row["max"] - row["remaining"] - self.count_v2(at), 0)
        counted = [at for at in counted if self.since <= at.date() <= self.until]
        deleted = [
            row for row in self.unlisted
            if not row.get("listed_again_at") and self.start <= row["unlisted_at"] < self.end
            and row["unlisted_at"] < self.job(row["id"])["created_date"] + WEEK
        ]  # fmt: skip
        numbers = {
            "complete_listings": len(listed), "last_listing": max(listed, default=None),
            "holes": [{"hole_from": a, "hole_to": b, "hours": (b - a) / HOUR} for a, b in holes],
            "days": (self.end - self.start).days, "longest_gap_hours": max(gaps) / HOUR if gaps else None,
            "deleted": len(deleted), "unseen_estimated": unseen if counted else None, "days_counted": len(counted),
        }  # fmt: skip
        return numbers, [{"gap from": a, "to": b, "hours": (b - a) / HOUR} for a, b in holes]

    def job(self, id_: str) -> Numbers:
        return next(job for job in self.jobs if job["id"] == id_)

    def count_v2(self, at: datetime) -> int:
        """The number of these days."""
        return bisect.bisect_right(self.v2_created, at) - bisect.bisect_right(self.v2_created, at - DAY)

    def v2(self, at: datetime) -> list[Numbers]:
        """V2 query jobs created in the 24 hours up to a time."""
        return [
            job for job in self.jobs
            if job["job_type"] == "V2Query" and job["created_date"] and at - DAY < job["created_date"] <= at
        ]  # fmt: skip


def series(job: Numbers) -> tuple[Any, ...]:
    return job["job_type"], job["operation"], job["object"], job["created_by_id"]


def at_midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _user_names(users: list[Numbers]) -> dict[str, str]:
    """id -> name, with the username if the org has several users of that name."""
    names = Counter(user["name"] for user in users)
    return {
        user["id"]: user["name"] if names[user["name"]] == 1 else f"{user['name']} ({user['username']})"
        for user in users
    }
