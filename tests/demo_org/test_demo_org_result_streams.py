"""Results that are large, endless, slow, or not what they say."""

import http.client
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from demo_org_client import INGEST, Client

from pipelines.demo_org.org import DemoOrg

LOCKED = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--"


def load(org: DemoOrg, **fields: Any) -> str:
    return org.add_job(**{"jobType": "V2Ingest", "state": "JobComplete", **fields})


def file(client: Client, job: str) -> requests.Response:
    return client.get(f"{INGEST}/{job}/failedResults")


def reading(org: DemoOrg, path: str, **headers: str) -> http.client.HTTPResponse:
    """An answer that is read as it comes, undecoded."""
    connection = http.client.HTTPConnection(urlsplit(org.instance_url).netloc, timeout=10)
    connection.request("GET", path, headers={"Authorization": f"Bearer {org.access_token}", **headers})
    return connection.getresponse()


def lines(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while line := answer.readline():
        yield line


def test_many_rows_are_made_as_they_are_sent(org: DemoOrg) -> None:
    job = load(org)
    org.fail_records(job, [(LOCKED, {"Name": "{n}" * 200})], times=30_000)
    tracemalloc.start()
    with reading(org, f"{INGEST}/{job}/failedResults") as answer:
        count = sum(1 for _ in lines(answer))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 30_001
    assert peak < 5_000_000  # the rows are 30 MB


def test_rows_may_come_without_end_and_the_server_stops_all_the_same(org: DemoOrg) -> None:
    job = load(org)
    org.fail_records(job, [(LOCKED, {"Name": "{n}"})], times=None)
    answer = reading(org, f"{INGEST}/{job}/failedResults")
    for _, _line in zip(range(50_000), lines(answer), strict=False):
        pass
    answer.close()


def test_rows_may_trickle_compressed_ones_too(org: DemoOrg) -> None:
    org.results.pause = 0.2
    job = load(org)
    org.fail_records(job, [(LOCKED, {"Name": "{n}"})], times=None)
    started = time.monotonic()
    with reading(org, f"{INGEST}/{job}/failedResults") as answer:
        assert [next(lines(answer)) for _ in range(3)][2].endswith(b'"2"\n')
        assert 0.3 < time.monotonic() - started < 5
    with reading(org, f"{INGEST}/{job}/failedResults", **{"Accept-Encoding": "gzip"}) as packed:
        assert zlib.decompressobj(wbits=31).decompress(packed.read1()) == b'"sf__Id","sf__Error",Name\n'


def test_an_answer_may_go_on_as_ordered(org: DemoOrg, client: Client) -> None:
    job = load(org)
    org.stream_next("x" * 1_000, 1_000, head='"sf__Id","sf__Error",Name\n', path="/failedResults")
    answer = file(client, job)
    assert (len(answer.content), answer.headers["Transfer-Encoding"]) == (26 + 1_000_000, "chunked")
    assert file(client, job).text == '"sf__Id","sf__Error",Id,Name\n'
    org.stream_next("no gzip", 1, headers={"Content-Encoding": "gzip"}, path="/failedResults")
    with pytest.raises(requests.exceptions.ContentDecodingError):
        file(client, job)
    org.stream_next(b"x" * 65_536, path="/failedResults")
    with reading(org, f"{INGEST}/{job}/failedResults") as endless:
        assert len(endless.read(10_000_000)) == 10_000_000


def test_an_answer_in_chunks_can_be_cut_failed_and_kept_waiting(org: DemoOrg, client: Client) -> None:
    job = load(org)
    org.fail_records(job, [(LOCKED, {"Name": "{n}"})], times=10)
    org.cut_next(path="/failedResults")
    with pytest.raises(requests.exceptions.RequestException):
        file(client, job)
    org.fail_next(503, path="/failedResults")
    assert file(client, job).status_code == 503
    org.stall_next(0.2, path="/failedResults")
    assert len(file(client, job).text.splitlines()) == 11
