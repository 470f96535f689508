"""An org whose listings are prepared beforehand, so that a benchmark measures its client: `python prepared_org.py JOBS`.

Keep-alive, gzip, no Nagle delay, every page a ready-made answer. Prints its URL, serves until it is killed.
GET /prepare?first=N&jobs=N&changed=N&loads=N&latency=S makes another listing: of so many jobs from number `first` on, the
first `changed` of them in another state than before, each answer so many seconds late; and one of so many loads.
GET /first-asked says when the first request came since then, in seconds since 1970.
"""

import gzip
import socketserver
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import orjson

PAGE = 1_000
BEGAN = datetime(2026, 11, 16, 6, tzinfo=UTC)  # where the synthetic history ends
ORG_ID = "00DR00000001234MAA"  # of synthetic_history.py


def record(number: int, changed: bool) -> dict[str, object]:
    created = BEGAN + timedelta(seconds=number * 6)
    ended = created + timedelta(seconds=number % 90)
    return {
        "id": f"750R1{number:010d}AAA",
        "operation": "query",
        "object": ("Account", "Contact", "Opportunity", "Lead", "Case")[number % 5],
        "createdById": f"005R00000000{number % 7:03d}AAA",
        "createdDate": f"{created:%Y-%m-%dT%H:%M:%S}.000+0000",
        "systemModstamp": f"{ended + timedelta(seconds=changed):%Y-%m-%dT%H:%M:%S}.000+0000",
        "state": "Aborted" if changed else "JobComplete" if number % 20 else "Failed",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": 68.0,
        "jobType": "V2Query",
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }


def load_record(number: int, changed: bool) -> dict[str, object]:
    own = {"id": f"750R2{number:010d}AAA", "operation": "upsert", "jobType": "V2Ingest"}
    return record(number, changed) | own


def answer(body: object) -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Encoding: gzip\r\n"
        f"Date: {formatdate(usegmt=True)}\r\nSforce-Limit-Info: api-usage=18/100000\r\n"
    )
    packed = gzip.compress(orjson.dumps(body), 1)
    return f"{head}Content-Length: {len(packed)}\r\n\r\n".encode() + packed


class Prepared:
    """The listings: locator -> the whole answer."""

    latency = 0.0
    first_asked: float | None = None
    pages: ClassVar[dict[bytes, bytes]] = {}
    organization = b""
    limits = answer({name: {"Max": 1_000_000, "Remaining": 999_000} for name in ("DailyApiRequests", "DataStorageMB")})
    job = answer(record(0, False) | {"numberRecordsProcessed": 1_000, "totalProcessingTime": 9_000, "retries": 0})

    @classmethod
    def make(cls, first: int = 0, jobs: int = 0, changed: int = 0, latency: float = 0.0, loads: int = 0) -> None:
        cls.latency, cls.first_asked, cls.pages = latency, None, {}
        cls.organization = answer({"totalSize": 1, "done": True, "records": [{"Id": ORG_ID}]})  # with the same Date
        cls._add("query", "01g", record, first, jobs, changed)
        cls._add("ingest", "02g", load_record, 0, loads, 0)

    @classmethod
    def _add(cls, path: str, locator: str, made: Callable[..., object], first: int, jobs: int, changed: int) -> None:
        for start in range(first, first + max(jobs, 1), PAGE):
            numbers = range(start, min(start + PAGE, first + jobs))
            last = start + PAGE >= first + jobs
            body = {
                "done": last,
                "records": [made(number, number < first + changed) for number in numbers],
                # The documentation's own example names /jobs/ingest.
                "nextRecordsUrl": None
                if last
                else f"/services/data/v68.0/jobs/ingest?queryLocator={locator}{start + PAGE}",
            }
            cls.pages[(f"{locator}{start}" if start > first else path).encode()] = answer(body)


class Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while line := self.rfile.readline():
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            path = line.split(b" ")[1]
            if path.startswith(b"/prepare"):
                wanted = {name: float(value) for name, (value,) in parse_qs(urlsplit(path.decode()).query).items()}
                numbers = {name: int(value) for name, value in wanted.items() if name != "latency"}
                Prepared.make(**numbers, latency=wanted.get("latency", 0.0))
                self.wfile.write(answer({}))
                continue
            Prepared.first_asked = Prepared.first_asked or time.time()
            if path == b"/first-asked":
                self.wfile.write(answer(Prepared.first_asked))
            elif b"/jobs/query/" in path:
                self.wfile.write(Prepared.job)
            elif b"/limits" in path:
                self.wfile.write(Prepared.limits)
            elif b"/jobs/" in path:
                time.sleep(Prepared.latency)
                locator = path.partition(b"queryLocator=")[2].partition(b"&")[0]
                self.wfile.write(Prepared.pages[locator or path.partition(b"/jobs/")[2].partition(b"?")[0]])
            else:
                self.wfile.write(Prepared.organization)


if __name__ == "__main__":
    Prepared.make(jobs=int(sys.argv[1]))
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()
