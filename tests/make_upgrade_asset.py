"""Makes a recording that later versions are held to (tests/warehouse/test_upgrade.py), with the code that is on the
PYTHONPATH.

    PYTHONPATH=. .venv/bin/python tests/make_upgrade_asset.py 0.1.0

The version's name and DuckDB's make the name of the archive. How those in tests/fixtures/upgrade came about:

- 0.1.0 is made once with each version of DuckDB that is tested, before the version is released, and never again after.
- `before-details` is made with the code before the commit "Ask each finished job for what the listing does not tell",
  from a working tree of its own (git worktree): four tables, no comments, and none of what came with `job_details`.

It runs the story of recorded_story.py, leaves the last two listings in dlt's home because another process holds the file,
and packs both. Nothing in it is secret: orgs, users and jobs are invented.
"""

import sys
import tempfile
from pathlib import Path

import duckdb
from processes import holding
from recorded_story import FILES, HERE, Story, credentials, pack, working_in

from pipelines.demo_org.server import serving
from pipelines.errors import TemporaryError
from pipelines.recording.load import record


def make(version: str) -> Path:
    """Lives the story, a load after each chapter, and packs what is there in the end."""
    archive = HERE / f"{version}-duckdb-{'.'.join(duckdb.__version__.split('.')[:2])}.tar.xz"
    story = Story()
    with tempfile.TemporaryDirectory() as home, working_in(Path(home)):
        with serving(story.org), serving(story.sandbox):
            story.begin()
            record(FILES, credentials(story.org))
            record(FILES, credentials(story.sandbox))
            for chapter in (story.move, story.expire):
                chapter()
                record(FILES, credentials(story.org))
            story.be_locked_out()
            with holding(FILES.primary_file):
                for _ in range(2):  # the second one cannot know what the first one kept, and keeps all jobs
                    try:
                        record(FILES, credentials(story.org))
                    except TemporaryError as kept:
                        print(kept.message)
        pack(Path(home), archive)
    return archive


if __name__ == "__main__":
    made = make(sys.argv[1])
    print(f"{made}: {made.stat().st_size:,} bytes")
