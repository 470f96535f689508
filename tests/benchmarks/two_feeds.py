"""What the second listing costs: `.venv/bin/python tests/benchmarks/two_feeds.py [--rounds N]`

Loads of both listings beside loads of one, in turn: of 100,000 queries and as many loads, cold and quiet; and of ten pages
each that are answered 0, 100 and 300 ms late. Read one after the other, two listings of equal length would take twice
the waiting of one.
"""

import argparse

from bench import LOAD, Bench, Cost, as_table, prepared

FEEDS = {"both": '["query", "ingest"]', "queries alone": '["query"]', "loads alone": '["ingest"]'}


def loaded(bench: Bench, feeds: str) -> Cost:
    return bench.run(LOAD, SOURCES__SALESFORCE__FEEDS=feeds)


def cold(bench: Bench, feeds: str) -> Cost:
    bench.new_home()
    return loaded(bench, feeds)


def main() -> None:
    parser = argparse.ArgumentParser(description="What the second listing costs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=100_000)
    given = parser.parse_args()
    with prepared(10) as bench:
        bench.prepare(jobs=given.jobs, loads=given.jobs)
        costs = bench.in_turn(
            given.rounds, {name: lambda feeds=feeds: cold(bench, feeds) for name, feeds in FEEDS.items()}
        )
        print(as_table(f"{given.jobs:,} jobs a listing, cold; ratios to queries alone", costs, costs["queries alone"]))
        cold(bench, FEEDS["both"])
        costs = bench.in_turn(
            given.rounds, {name: lambda feeds=feeds: loaded(bench, feeds) for name, feeds in FEEDS.items()}
        )
        print(as_table("The same, quiet", costs, costs["queries alone"]))
        for latency in (0.0, 0.1, 0.3):
            bench.prepare(jobs=10_000, loads=10_000, latency=latency)
            cold(bench, FEEDS["both"])
            costs = bench.in_turn(
                given.rounds, {name: lambda feeds=feeds: loaded(bench, feeds) for name, feeds in FEEDS.items()}
            )
            print(as_table(f"Ten pages a listing, {1000 * latency:.0f} ms late, quiet", costs, costs["queries alone"]))


if __name__ == "__main__":
    main()
