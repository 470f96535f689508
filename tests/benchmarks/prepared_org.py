"""An org whose listing is prepared beforehand, so that a benchmark measures its client: `python prepared_org.py JOBS`.

Keep-alive, gzip, no Nagle delay, every page a ready-made answer. Prints its URL, serves until it is killed.
"""

import gzip
import socketserver
import sys
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

import orjson

PAGE = 1_000
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)


def record(number: int) -> dict[str, object]:
    created = BEGAN + timedelta(seconds=number * 6)
    return {
        "id": f"750R0{number:010d}AAA",
        "operation": "query",
        "object": ("Account", "Contact", "Opportunity", "Lead", "Case")[number % 5],
        "createdById": f"005R00000000{number % 7:03d}AAA",
        "createdDate": f"{created:%Y-%m-%dT%H:%M:%S}.000+0000",
        "systemModstamp": f"{created + timedelta(seconds=number % 90):%Y-%m-%dT%H:%M:%S}.000+0000",
        "state": "JobComplete" if number % 20 else "Failed",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": 68.0,
        "jobType": "V2Query",
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }


def answer(body: bytes) -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Encoding: gzip\r\n"
        f"Date: {formatdate(usegmt=True)}\r\nSforce-Limit-Info: api-usage=18/100000\r\n"
    )
    packed = gzip.compress(body, 1)
    return f"{head}Content-Length: {len(packed)}\r\n\r\n".encode() + packed


def pages(jobs: int) -> dict[bytes, bytes]:
    """Locator -> the whole answer."""
    ready = {}
    for first in range(0, jobs, PAGE):
        last = first + PAGE >= jobs
        following = None if last else f"/services/data/v68.0/jobs/ingest?queryLocator=01g{first + PAGE}"
        body = {
            "done": last,
            "records": [record(n) for n in range(first, min(first + PAGE, jobs))],
            "nextRecordsUrl": following,
        }
        ready[f"01g{first}".encode() if first else b""] = answer(orjson.dumps(body))
    return ready


class Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    ready: dict[bytes, bytes]
    organization: bytes

    def handle(self) -> None:
        while line := self.rfile.readline():
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            path = line.split(b" ")[1]
            if b"/jobs/query" in path:
                self.wfile.write(self.ready[path.partition(b"queryLocator=")[2].partition(b"&")[0]])
            else:
                self.wfile.write(self.organization)


if __name__ == "__main__":
    Handler.ready = pages(int(sys.argv[1]))
    Handler.organization = answer(
        orjson.dumps({"totalSize": 1, "done": True, "records": [{"Id": "00DR00000001234EAA"}]})
    )
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()
