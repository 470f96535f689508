"""What happens in an org, as charts: `make notebook`, or `make notebook-edit` to change the code. It has the charts of
`make report`, with filters, and an editor for your own SQL at the end. Every cell closes the file after reading."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Bulk API jobs")


@app.cell
def imports():
    import argparse
    import html
    from dataclasses import replace
    from pathlib import Path

    import duckdb
    import marimo as mo

    from pipelines.answers import pictures
    from pipelines.answers.charts import styled
    from pipelines.answers.check import check, read_thresholds
    from pipelines.answers.page_text import rich
    from pipelines.answers.selection import Selection, orgs, select
    from pipelines.config.dlt_context import use_project
    from pipelines.config.settings import warehouse_to_read
    from pipelines.demo import DEMO_WAREHOUSE
    from pipelines.errors import RecorderError
    from pipelines.warehouse.reader import opened, read, rows

    return (
        DEMO_WAREHOUSE,
        RecorderError,
        Path,
        Selection,
        argparse,
        check,
        duckdb,
        html,
        mo,
        opened,
        orgs,
        pictures,
        read,
        read_thresholds,
        replace,
        rich,
        rows,
        select,
        styled,
        use_project,
        warehouse_to_read,
    )


@app.cell
def failing(mo):
    def explanation(failure):
        """What went wrong and what to do; marimo alone would only show that something did."""
        return mo.callout(mo.plain_text(str(failure)), kind="danger")

    return (explanation,)


@app.cell
def choose(
    DEMO_WAREHOUSE,
    RecorderError,
    Path,
    argparse,
    html,
    mo,
    opened,
    orgs,
    explanation,
    use_project,
    warehouse_to_read,
):
    # Not mo.cli_args(), which turns a file name like 2026 into a number.
    _parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _parser.add_argument("--warehouse", type=Path)
    try:
        use_project()
        warehouse = warehouse_to_read(_parser.parse_known_args()[0].warehouse, DEMO_WAREHOUSE)
        with opened(warehouse) as _file:
            recorded, _is_demo = orgs(_file), _file.is_demo
    except RecorderError as _failure:
        mo.stop(True, explanation(_failure))
    _demo, _target = ("a demo of several orgs", "demo-fleet") if len(recorded) > 1 else ("the demo org", "demo")
    _demo += f", recorded by <code>make {_target}</code>"
    _whose = _demo if _is_demo else f"<code>{html.escape(str(warehouse))}</code>"
    _fits = ".phone { display: none } @media (max-width: 46rem) { .wide { display: none } .phone { display: block } }"
    _fits += " .whole { white-space: nowrap }"
    mo.vstack(
        [
            mo.Html(f"<style>{_fits}</style>"),
            mo.md("# What is going on with Bulk API jobs?"),
            mo.Html(f"<p>This is {_whose}. All times are UTC.</p>"),
        ]
    )
    return recorded, warehouse


@app.cell
def choose_org(mo, recorded):
    mo.stop(not recorded, mo.md("Nothing is recorded yet: there is no complete listing."))
    _named = {row["display_name"]: row for row in recorded}  # unique
    org = mo.ui.dropdown(_named, value=next(iter(_named)), label="org", allow_select_none=False, full_width=True)
    return (org,)


@app.cell
def fleet(RecorderError, explanation, mo, recorded, rows, warehouse):
    try:
        _columns = (
            "name, is_sandbox, is_silent, as_of, jobs, failed_jobs, records_failed, stuck_jobs, main_reason, "
            "worst_limit, worst_limit_percent"
        )
        _order = "is_silent desc, failed_jobs desc, name"
        _orgs = rows(f"select {_columns} from fleet order by {_order}", warehouse)
    except RecorderError as _failure:
        mo.stop(True, explanation(_failure))
    mo.stop(len(recorded) < 2)
    _lines = mo.ui.table(_orgs, selection=None, show_column_summaries=False, page_size=50)
    mo.vstack([mo.md("## All orgs at a glance"), _lines])
    return


@app.cell
def choose_jobs(RecorderError, explanation, mo, org, rows, select, warehouse):
    try:
        _whole = select(warehouse, org.value, days=30)
        _known = rows(
            """
            select distinct job_type, object, created_by_id, coalesce(u.name, created_by_id) as created_by
            from listed_jobs as j
            left join user_names as u on u.org_id = j.org_id and u.id = j.created_by_id
            where j.org_id = $org
            """,
            warehouse,
            {"org": org.value["org_id"]},
        )
    except RecorderError as _failure:
        mo.stop(True, explanation(_failure))
    _first = min(org.value["first_day"] or _whole.since, _whole.since)
    time = mo.ui.date_range(start=_first, stop=_whole.until, value=(_whole.since, _whole.until), label="days")

    def _options(column):
        return sorted({row[column] for row in _known if row[column] is not None})

    job_types = mo.ui.multiselect(_options("job_type"), label="types")
    objects = mo.ui.multiselect(_options("object"), label="objects")
    _users = {row["created_by_id"]: row["created_by"] for row in _known if row["created_by_id"]}
    _named = sorted(_users.values())
    creators = mo.ui.multiselect(
        {name if _named.count(name) == 1 else f"{name} ({user})": user for user, name in sorted(_users.items())},
        label="users",
    )
    mo.vstack(
        [
            org,  # on a line of its own, because a name may be as long as a phone is wide
            mo.hstack([time, job_types, objects, creators], justify="start", wrap=True),
            mo.md(
                "If nothing is selected, everything is shown. Grey in charts: not known. The record does not cover "
                "that time, or lacks what the chart needs."
            ),
        ]
    )
    return creators, job_types, objects, time


@app.cell
def chosen(Selection, creators, job_types, objects, org, time, warehouse):
    selection = Selection(
        warehouse,
        org.value["org_id"],
        *time.value,
        tuple(job_types.value),
        tuple(objects.value),
        tuple(creators.value),
    )
    return (selection,)


@app.cell
def showing(RecorderError, mo, explanation, opened, replace, rich, selection, styled):
    _names = {"job_types": "types", "objects": "objects", "creators": "users"}

    def show(make):
        """One section of the page: question, answer, chart, numbers."""
        try:
            with opened(selection.warehouse) as _file:  # one connection for all queries of a section
                picture = make(replace(selection, warehouse=_file))
        except RecorderError as failure:
            return explanation(failure)
        _unsupported = _names.keys() - set(picture.supported_filters)
        ignored = [name for field, name in _names.items() if getattr(selection, field) and field in _unsupported]
        parts = [
            mo.md(f"## {picture.title}"),
            # The text contains names from Salesforce, which must not be read as Markdown.
            mo.Html(f"<p>{rich(picture.summary, None)}</p>"),
        ]
        if ignored:
            parts.append(mo.md(f"*Shows all {' and '.join(ignored)}: this filter does not apply here.*"))
        if picture.draw:  # twice: the page shows the one that fits its window
            parts += [
                mo.Html(f'<div class="{size}">{mo.as_html(styled(picture.draw(width))).text}</div>')
                for size, width in (("wide", 760), ("phone", 225))
            ]
        if picture.table:
            parts.append(
                mo.accordion(
                    {"The numbers": mo.ui.table(list(picture.table), selection=None, show_column_summaries=False)}
                )
            )
        return mo.vstack(parts)

    return (show,)


@app.cell
def needs(
    RecorderError,
    check,
    mo,
    org,
    read_thresholds,
    rich,
    explanation,
    warehouse,
):
    try:
        _all = check(warehouse, read_thresholds())
    except RecorderError as _failure:
        mo.stop(True, explanation(_failure))
    findings = [finding for finding in _all if finding.org_id == org.value["org_id"]]
    _items = "".join(
        f"<li><b>{'Urgent: ' if finding.urgent else ''}{finding.heading}</b>: {rich(finding.message, None)}"
        f"<br><small>{rich(' · '.join(filter(None, (finding.shown_ids, finding.remedy))), None)}</small></li>"
        for finding in findings
    )
    mo.vstack(
        [
            mo.md("## What needs attention?"),
            mo.md("*In the whole org, as of its last listing: the filters above do not apply here.*"),
            mo.callout(mo.Html(f"<ul style='list-style: disc; padding-left: 1.2em'>{_items}</ul>"), kind="warn")
            if findings
            else mo.md("Nothing."),
        ]
    )
    return (findings,)


@app.cell
def volume(pictures, show):
    show(pictures.volume)
    return


@app.cell
def failures(mo, pictures, show):
    mo.vstack([show(pictures.failures), show(pictures.reasons)])
    return


@app.cell
def streaks(pictures, show):
    show(pictures.streaks)
    return


@app.cell
def allowance(pictures, show):
    show(pictures.allowance)
    return


@app.cell
def users(mo, pictures, show):
    mo.vstack([show(pictures.users), show(pictures.batches)])
    return


@app.cell
def limits(pictures, show):
    show(pictures.limits)
    return


@app.cell
def at_once(pictures, show):
    show(pictures.at_once)
    return


@app.cell
def durations(pictures, show):
    show(pictures.durations)
    return


@app.cell
def week(pictures, show):
    show(pictures.week)
    return


@app.cell
def coverage(pictures, show):
    show(pictures.coverage)
    return


@app.cell
def ask(mo):
    sql = mo.ui.code_editor(
        value="-- The most recent failures; docs/tables.md describes all tables and views\n"
        "select created_date, created_by, kind, object, outcome, error_code, error\n"
        "from failures\norder by created_date desc\nlimit 100",
        language="sql",
        label="Your own SQL",
    )
    mo.vstack([mo.md("## What else do you want to know?"), sql])
    return (sql,)


@app.cell
def answer(RecorderError, duckdb, mo, read, sql, warehouse):
    try:
        _answer = mo.ui.table(read(sql.value, warehouse), selection=None, show_column_summaries=False)
    except (duckdb.Error, RecorderError) as _error:
        _answer = mo.callout(mo.plain_text(str(_error)), kind="danger")
    _answer
    return


if __name__ == "__main__":
    app.run()
