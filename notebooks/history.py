"""What is recorded, as charts: `make notebook`. Every cell reads through `read`, which lets go of the file at once."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Bulk API jobs")


@app.cell
def imports():
    import os
    from pathlib import Path

    import altair as alt
    import marimo as mo

    from pipelines.settings import PROJECT, read_settings, use_project
    from pipelines.warehouse import read

    # One colour for one state, everywhere, and told apart by those who do not see red and green alike (Okabe-Ito).
    colours = {
        "JobComplete": "#0072B2",
        "Closed": "#56B4E9",
        "InProgress": "#F0E442",
        "UploadComplete": "#E69F00",
        "Open": "#CC79A7",
        "Aborted": "#999999",
        "Failed": "#D55E00",
    }
    return PROJECT, Path, alt, colours, mo, os, read, read_settings, use_project


@app.cell
def choose(PROJECT, Path, mo, os, read_settings, use_project):
    use_project()
    given = os.environ.get("WAREHOUSE")
    own, demo = read_settings().warehouse, PROJECT / "demo" / "warehouse.duckdb"
    warehouse = Path(given).resolve() if given else own if own.exists() else demo
    mo.md(
        f"# What does this org remember of its Bulk API jobs?\n\n"
        f"{'The demo org, as `make demo` recorded it' if warehouse == demo else 'Recorded'}: `{warehouse}`"
    )
    return (warehouse,)


@app.cell
def coverage(mo, read, warehouse):
    (_known,) = read(
        """
        select
            (select count(*) from query_jobs) as jobs,
            (select count(*) from query_job_states) as states,
            (select count(*) from listings) as listings,
            (select max(finished_at) from listings) as newest,
            (select sum(jobs_changed_late) from listings) as late
        """,
        warehouse,
    ).to_pylist()
    mo.md(
        f"**{_known['jobs']:,} jobs** in {_known['states']:,} observed states, from {_known['listings']:,} complete "
        f"listings, the last one at {_known['newest']:%Y-%m-%d %H:%M} UTC. "
        f"{_known['late'] or 0:,} changes came with a `systemModstamp` that a plain cursor would have passed already."
    )
    return


@app.cell
def jobs_by_day(alt, colours, mo, read, warehouse):
    _days = read(
        """
        select
            day,
            job_type || case when kind = 'query' then ' queries' else ' loads' end as kind,
            state,
            sum(jobs)::bigint as jobs
        from jobs_by_day
        where day is not null and jobs > 0
        group by 1, 2, 3
        order by 1, 2, 3
        """,
        warehouse,
    )
    days_chart = (
        alt.Chart(alt.Data(values=[row | {"day": str(row["day"])} for row in _days.to_pylist()]))
        .mark_bar()
        .encode(
            x=alt.X("utcyearmonthdate(day):T", title="UTC day of creation"),
            y=alt.Y("jobs:Q", title="jobs"),
            color=alt.Color(
                "state:N",
                title="newest state",
                legend=alt.Legend(orient="top", columns=7),
                scale=alt.Scale(domain=list(colours), range=list(colours.values())),
            ),
            row=alt.Row("kind:N", title=None),
            tooltip=["day:T", "kind:N", "state:N", "jobs:Q"],
        )
        .properties(width=640, height=140)
        .resolve_scale(y="independent")
    )
    mo.vstack([mo.md("## How many jobs a day, and how did they end?"), mo.ui.altair_chart(days_chart)])
    return (days_chart,)


@app.cell
def changes_by_day(alt, mo, read, warehouse):
    _changes = read(
        """
        select day, from_state || ' → ' || to_state as change, sum(changes)::bigint as changes
        from state_changes_by_day
        where from_state is not null
        group by 1, 2
        order by 1, 2
        """,
        warehouse,
    )
    changes_chart = (
        alt.Chart(alt.Data(values=[row | {"day": str(row["day"])} for row in _changes.to_pylist()]))
        .mark_bar()
        .encode(
            x=alt.X("utcyearmonthdate(day):T", title="UTC day of the listing that showed it first"),
            y=alt.Y("changes:Q", title="changes"),
            color=alt.Color("change:N", title="change", legend=alt.Legend(orient="top", columns=4)),
            tooltip=["day:T", "change:N", "changes:Q"],
        )
        .properties(width=640, height=220)
    )
    mo.vstack([mo.md("## Which changes of state were caught between listings?"), mo.ui.altair_chart(changes_chart)])
    return (changes_chart,)


@app.cell
def ask(mo):
    sql = mo.ui.text_area(
        value="select object, count(*) as failed, max(created_date) as last\n"
        "from query_jobs\nwhere state = 'Failed'\ngroup by 1\norder by failed desc",
        label="A question of your own, in SQL",
        full_width=True,
        rows=6,
    )
    mo.vstack([mo.md("## And what else?"), sql])
    return (sql,)


@app.cell
def answer(mo, read, sql, warehouse):
    mo.ui.table(read(sql.value, warehouse).to_pylist(), selection=None)
    return


if __name__ == "__main__":
    app.run()
