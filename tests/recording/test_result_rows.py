"""The rows of results, however they are cut into parts, and within bounds of memory."""

import csv
import io
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import pytest
from demo_org_client import FIXTURES
from hypothesis import given
from hypothesis import strategies as st

from pipelines.recording.result_rows import (
    DELIMITERS,
    MAX_ROW,
    UnreadableResults,
    batch_rows,
    count_rows,
    failed_rows,
)

BATCHES = ["c_result_58_doc_csv.csv", "c_result_59_two_errors.xml", "c_result_60_json_null_id.json"]


def parts(content: bytes, size: int) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))


@pytest.mark.parametrize("size", [1, 2, 7, 1_000_000])
@pytest.mark.parametrize("name", BATCHES)
def test_the_size_of_the_parts_does_not_matter(name: str, size: int) -> None:
    content = (FIXTURES / name).read_bytes()
    rows = list(batch_rows(parts(content, size)))
    assert rows == list(batch_rows(parts(content, len(content))))
    assert len(rows) == 1
    bom = b"\xef\xbb\xbf" + content
    assert list(batch_rows(parts(bom, size))) == rows


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=12)


@given(
    st.lists(st.tuples(cells, cells, cells), max_size=8),
    st.sampled_from(sorted(DELIMITERS.values())),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 40),
    st.permutations([0, 1, 2]),
)
def test_whatever_the_values_are_only_the_errors_are_taken(
    rows: list[tuple[str, str, str]], delimiter: str, end: str, size: int, order: list[int]
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    header = ("sf__Error", "sf__Id", "Text__c")
    writer.writerow([header[at] for at in order])
    writer.writerows([row[at] for at in order] for row in rows)
    content = text.getvalue().encode()
    assert list(failed_rows(parts(content, size), delimiter)) == [error for error, *_ in rows]
    assert list(count_rows(parts(content, size), delimiter)) == list(range(len(rows) + 1))


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_are_rows_or_unreadable(content: bytes, size: int) -> None:
    for start in (b"", b'"Id","Success","Created","Error"\n', b"[", b"<results>", b'[{"success":false}'):
        with suppress(UnreadableResults):
            list(batch_rows(parts(start + content, size)))
    with suppress(UnreadableResults):
        list(failed_rows(parts(b'"sf__Error"\n' + content, size), ","))


def test_a_row_with_too_many_or_few_values_has_no_error() -> None:
    """What stands in the error's place may be a value."""
    content = b'"sf__Id","sf__Error",Name\n"","A_B:c:--"\n"","A_B:c:--","x"\n"","Anna","y","z"\n'
    assert list(failed_rows([content], ",")) == ["", "A_B:c:--", ""]


def test_rows_without_an_outcome_are_no_failures() -> None:
    """Both were seen: neither success nor error, and an error with success."""
    content = b'"Id","Success","Created","Error"\n"","","",""\n"","true","false","A_B:c:--"\n"","FALSE","",""\n'
    assert list(batch_rows(iter([content]))) == ["A_B:c:--", ""]
    json = b'[{"success":null,"errors":[]},{"success":false},{"success":true,"errors":[{"statusCode":"A_B"}]}]'
    assert [len(row) for row in batch_rows(iter([json]))] == [1, 1]


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b'"sf__Error"\n', b"x" * 2**16),
        (b'"sf__Error"\n"', b'\n","' * 2**14),
        (b'[{"a":"', b"x" * 2**16),
        (b"[", b'{"success":true,"errors":[]},' * 2_000),
        (b"<results>", b"<result><success>true</success></result>" * 2_000),
        (b"<results><result><errors><message>", b"x" * 2**16),
    ],
    ids=["line", "row", "object", "array", "elements", "text"],
)
def test_memory_is_bounded(head: bytes, part: bytes) -> None:
    """64 MB of each."""
    content = iter([head, *[part] * (2**26 // len(part))])
    tracemalloc.start()
    try:
        rows = failed_rows(content, ",") if b"sf__" in head else batch_rows(content)
        with pytest.raises(UnreadableResults):
            list(rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * MAX_ROW
