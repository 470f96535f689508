"""The floor: what a person would write by hand, without dlt and without any safety. `python floor.py URL FILE`"""

import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import duckdb
import orjson
import pyarrow as pa
import requests

TIMES = ("createdDate", "systemModstamp")


def main(url: str, file: Path) -> None:
    file.unlink(missing_ok=True)
    session = requests.Session()
    locator, pages = None, []
    while True:
        params = {"queryLocator": locator} if locator else None
        body = orjson.loads(session.get(f"{url}/services/data/v68.0/jobs/query", params=params, timeout=60).content)
        columns = {name: pa.array([record[name] for record in body["records"]]) for name in body["records"][0]}
        for name in TIMES:
            columns[name] = columns[name].cast(pa.timestamp("us", "UTC"))
        pages.append(pa.table(columns))
        if body["done"]:
            break
        locator = parse_qs(urlsplit(body["nextRecordsUrl"]).query)["queryLocator"][0]
    jobs = pa.concat_tables(pages)
    with duckdb.connect(file) as connection:
        connection.register("jobs", jobs)
        connection.execute("create table query_jobs as select * from jobs")
        connection.execute("create table query_job_states as select id, systemModstamp, state from jobs")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
