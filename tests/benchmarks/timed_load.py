"""One load, timed from within: prints as JSON the seconds of all of it, of publishing, and between first and last page."""

import json
import time

BEGAN = time.perf_counter()

from pipelines import query_jobs  # noqa: E402 - its import is part of what is timed

TIMES: dict[str, float] = {}


def main() -> int:
    publish, record = query_jobs.publish, query_jobs.record

    def timed_publish(*arguments: object) -> None:
        began = time.perf_counter()
        publish(*arguments)  # type: ignore[arg-type]
        TIMES["publish"] = time.perf_counter() - began

    def timed_record(settings: object, credentials: object, seen: object) -> object:
        seen_at: list[float] = []
        seen = query_jobs.Seen(page=lambda page: seen_at.append(time.perf_counter()))
        run = record(settings, credentials, seen)  # type: ignore[arg-type]
        TIMES["first to last page"] = seen_at[-1] - seen_at[0]
        TIMES["calls"] = run.listing.calls
        TIMES["pages"] = run.listing.pages
        TIMES["changed"] = run.listing.jobs_changed
        return run

    query_jobs.publish, query_jobs.record = timed_publish, timed_record  # type: ignore[assignment]
    code = query_jobs.main(["load", "--quiet"])
    TIMES["all"] = time.perf_counter() - BEGAN
    print(json.dumps(TIMES))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
