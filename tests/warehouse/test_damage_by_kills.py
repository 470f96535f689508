"""A file whose writers were killed is intact. KILLS sets how many kills are tried."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from pipelines.warehouse.damage import (
    damaged_table,
    suspect_blocks,
)

KILLS = int(os.environ.get("KILLS", "10"))
CHURN = """
import random, sys, duckdb
file, dice = sys.argv[1], random.Random(int(sys.argv[2]))
config = {"memory_limit": "256MB", "checkpoint_threshold": dice.choice(["1MB", "256MB"]), "preserve_insertion_order": False}
db = duckdb.connect(file, config=config)
db.execute("create table if not exists t (id bigint, s varchar, l varchar[])")
print("begun", flush=True)
while True:
    rows = dice.choice([100, 5_000, 200_000])
    what = [
        f"insert into t select i, md5(i::varchar) || repeat('y', (i % 50)::int), [md5(i::varchar)] from range({rows}) r(i)",
        f"delete from t where id % {dice.choice([2, 3, 7])} = 0",
        f"update t set s = s || 'z' where id % 11 = {dice.randrange(11)}",
        f"begin; create or replace table u as select sha256(i::varchar) as h from range({rows}) r(i); rollback",
        f"create or replace table u as select sha256(i::varchar) as h from range({rows}) r(i)",
        "truncate t" if dice.random() < 0.2 else "select 1",
        "vacuum",
        "checkpoint",
    ]
    db.execute(dice.choice(what))
"""


@pytest.mark.slow
def test_a_file_whose_writers_were_killed_is_not_damaged(tmp_path: Path) -> None:
    """During writes, deletes, rollbacks and checkpoints; before and after the file is next opened."""
    file, dice = tmp_path / "file.duckdb", random.Random(13)
    for number in range(KILLS):
        command = [sys.executable, "-c", CHURN, file, str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout
            assert writer.stdout.readline() == "begun\n"
            time.sleep(dice.random() * 2)
            writer.kill()
        assert suspect_blocks(file) == []
        assert damaged_table(file) is None
        with duckdb.connect(file) as next_one:
            next_one.execute("checkpoint")
        assert suspect_blocks(file) == []
