"""Fills in `job_details.error_template` for rows recorded by earlier versions, or with an earlier
`message_template`."""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from pipelines.recording import message_templates
from pipelines.recording.message_templates import message_template
from pipelines.tables import DATASET
from pipelines.warehouse.database_file import read_macro

DEFINED: Final = "templates_definition"  # a macro in the file: the version of message_template it was filled with
DEFINITION: Final = hashlib.sha256(Path(message_templates.__file__).read_bytes()).hexdigest()
AT_ONCE: Final = 50_000  # distinct messages in memory

MISSING: Final = f"""
select distinct error_message as message from {DATASET}.job_details
where error_message is not null and error_template is null and asked_at >= $since
limit {AT_ONCE}
"""
FILL: Final = f"""
update {DATASET}.job_details as d set error_template = m.template
from made as m
where d.error_message = m.message and d.error_template is null
"""


def fill_templates(primary: duckdb.DuckDBPyConnection, since: datetime | None) -> None:
    """Fills in the template of each row of `job_details` that has a message but no template. Rows asked for before
    `since` are skipped, unless the definition of a template has changed. None: no row is skipped, which takes 7 ms at
    a million rows if no template is missing."""
    if read_macro(primary, f"{DATASET}.{DEFINED}") != DEFINITION:
        since = None
        primary.execute(
            f"begin; update {DATASET}.job_details set error_template = null where error_template is not null; "
            f"create or replace macro {DATASET}.{DEFINED}() as '{DEFINITION}'; commit"
        )
    while found := primary.execute(MISSING, {"since": since or "-infinity"}).fetchall():
        made = [{"message": message, "template": message_template(message)} for (message,) in found]
        primary.register("made", pa.Table.from_pylist(made))
        try:
            primary.execute(FILL)
        finally:
            primary.unregister("made")
