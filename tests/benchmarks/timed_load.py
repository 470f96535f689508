"""One load, timed from within: prints as JSON the seconds of all of it, of publishing, and between first and last page."""

import json
import time

BEGAN = time.perf_counter()

from pipelines import query_jobs, runs  # noqa: E402 - their import is part of what is timed
from pipelines.recording import load as run  # noqa: E402
from pipelines.recording.progress import ProgressCallbacks  # noqa: E402

TIMES: dict[str, float] = {}


def main() -> int:
    publish, record = run.publish, runs.record_under_lock

    def timed_publish(*arguments: object) -> None:
        began = time.perf_counter()
        publish(*arguments)  # type: ignore[arg-type]
        TIMES["publish"] = time.perf_counter() - began

    def timed_record(settings: object, credentials: object, seen: object) -> object:
        seen_at: list[float] = []
        seen = ProgressCallbacks(page=lambda feed, page: seen_at.append(time.perf_counter()))
        done = record(settings, credentials, seen)  # type: ignore[arg-type]
        listed = done.listings.first
        TIMES["first to last page"] = seen_at[-1] - seen_at[0]
        TIMES["calls"] = listed.calls
        TIMES["pages"] = listed.shown.pages
        TIMES["changed"] = listed.jobs_changed
        return done

    run.publish, runs.record_under_lock = timed_publish, timed_record  # type: ignore[assignment]
    code = query_jobs.main(["load", "--quiet"])
    TIMES["all"] = time.perf_counter() - BEGAN
    print(json.dumps(TIMES))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
