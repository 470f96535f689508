"""What a dlt user writes first: the rest_api source as its documentation shows it. `python stock_rest_api.py URL [careful]`

https://dlthub.com/docs/dlt-ecosystem/verified-sources/rest_api/basic - `careful` adds every easy setting that a user
finds who looks for speed: parquet instead of INSERT statements, uncompressed files in between, two workers.
Neither keeps a history of states, nor what changes while the listing is read; and both follow `nextRecordsUrl` where it
names /jobs/ingest, which the prepared org answers alike so that they can be measured at all.
"""

import os
import sys

CAREFUL = {
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
    "NORMALIZE__WORKERS": "2",
    "SOURCES__DATA_WRITER__FILE_MAX_ITEMS": "25000",
}


def main(url: str, careful: bool) -> None:
    if careful:
        os.environ |= CAREFUL
    import dlt
    from dlt.sources.rest_api import rest_api_source

    source = rest_api_source(
        {
            "client": {
                "base_url": f"{url}/services/data/v68.0/",
                "paginator": {"type": "json_link", "next_url_path": "nextRecordsUrl"},
            },
            "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
            "resources": [
                {
                    "name": "query_jobs",
                    "endpoint": {
                        "path": "jobs/query",
                        "data_selector": "records",
                        "incremental": {
                            "start_param": "modifiedSince",  # Salesforce knows none; rest_api wants one
                            "cursor_path": "systemModstamp",
                            "initial_value": "2020-01-01T00:00:00.000+0000",
                        },
                    },
                }
            ],
        }
    )
    pipeline = dlt.pipeline("stock", destination="duckdb", dataset_name="salesforce")
    pipeline.run(source, loader_file_format="parquet" if careful else None)


if __name__ == "__main__":
    main(sys.argv[1], careful="careful" in sys.argv)
