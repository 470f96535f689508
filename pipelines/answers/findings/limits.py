"""The org's limits, and how close it came to them."""

from collections.abc import Iterator
from datetime import timedelta

from pipelines.answers.findings.finding import CheckContext, Finding
from pipelines.answers.findings.words import known, percent, when


def allowance(context: CheckContext) -> Iterator[Finding]:
    """The peak of V2 query jobs in any 24 hours of the last three days: on a Monday, Friday's peak is still news. If
    fuller 24 hours that overlap these ended earlier, those are reported, as the report shows them."""
    for peak in context.query("""
        with lately as (
            select hour from allowance_by_hour
            where org_id = $org and hour >= ($as_of at time zone 'UTC') - interval 72 hours
                and share_percent >= $allowance_percent
            order by fullness desc
            limit 1
        )
        select a.hour, a.used, a.allowance, a.share_percent, a.peak_at
        from allowance_by_hour as a
        inner join lately as l on a.hour > l.hour - interval 24 hours
        where a.org_id = $org and a.share_percent >= $allowance_percent
        order by a.fullness desc
        limit 1
    """):
        users = context.query(
            """
            select created_by, object, query_jobs
            from allowance_by_user
            where org_id = $org and day = cast($hour as date) and query_jobs > 0
            order by query_jobs desc, created_by, object
            """,
            hour=peak["hour"],
            jobs_since=context.as_of - timedelta(days=7),
        )
        listed = sum(user["query_jobs"] for user in users)
        shown = [
            {"created_by": known(user["created_by"]), "object": known(user["object"]), "query_jobs": user["query_jobs"]}
            for user in users[:3]
        ]
        most = ", ".join(f"{user['created_by']} on {user['object']} {user['query_jobs']:,}" for user in shown)
        seen = f"of the {listed:,} that are recorded, most by" if listed < peak["used"] else "most by"
        who = f"{seen}: {most}" if users else "none of them was ever recorded"
        yield context.finding(
            "allowance",
            message=f"{peak['used']:,} of {peak['allowance']:,} V2 query jobs ({percent(peak['share_percent'])}) "
            f"{'was' if peak['used'] == 1 else 'were'} created in the 24 hours up to {when(peak['peak_at'])}; {who}.",
            remedy="At 100 % Salesforce refuses every further query job: see the view allowance_by_user.",
            urgent=peak["share_percent"] >= 100,
            # `until` is what peak_at was called before there was a column of it
            numbers={**peak, "until": peak["peak_at"], "users": shown},
        )


def api_calls(context: CheckContext) -> Iterator[Finding]:
    """The other limits that Bulk API clients use up, as read in the last 72 hours."""
    for limit in context.query("""
        select
            limit_name, app, max_by(used, (used_percent, read_at)) as used, max_by(max, (used_percent, read_at)) as max,
            max(used_percent) as percent, max_by(read_at, (used_percent, read_at)) as at
        from limit_readings
        where org_id = $org and read_at >= $as_of - interval 72 hours and used_percent is not null
            and limit_name in ('DailyApiRequests', 'DailyBulkApiBatches', 'DailyBulkV2QueryFileStorageMB')
        group by limit_name, app
        having percent >= $api_percent
        order by percent desc, limit_name, app
    """):
        whose = f" of {limit['app']}" if limit["app"] else ""
        yield context.finding(
            "api limit",
            limit["limit_name"],
            limit["app"],
            message=f"{limit['used']:,} of {limit['max']:,} {limit['limit_name']}{whose} ({percent(limit['percent'])}) "
            f"were used by {when(limit['at'])}.",
            remedy="A load stops at api_budget_percent (.dlt/config.toml), to leave the rest to others.",
            urgent=limit["percent"] >= 100,
            numbers=limit,
        )
