"""The server that the tests of forwarding run on: real, alone, and gone afterwards."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pytest
from postgres_server import Server, postgres_server


def test_a_server_answers_and_is_gone_afterwards(tmp_path: Path) -> None:
    with postgres_server() as server:
        database = server.new_database()
        assert server.execute("select current_database()", database) == [(database,)]
        folder, pid = server.folder, server.process and server.process.pid

    assert pid
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_stopped_server_keeps_its_data_and_its_port() -> None:
    with postgres_server() as server:
        server.execute("create table kept as select 1 as one")
        port = server.port
        server.stop()
        with pytest.raises(psycopg2.OperationalError):
            server.connect()

        server.start()

        assert server.execute("select one from kept") == [(1,)]
        assert server.port == port


def test_members_of_one_role_need_their_password(postgres: Server) -> None:
    postgres.execute("drop role if exists careful; create role careful login password 'right' in role asks_password")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        postgres.connect(user="careful", password="wrong")

    postgres.connect(user="careful", password="right").close()
    postgres.connect(password="whatever").close()


def test_a_server_ends_with_a_process_that_is_killed(postgres: Server, tmp_path: Path) -> None:
    """`postgres` is asked for, so that this is skipped where there is none."""
    code = (
        "import sys, time; sys.path.insert(0, 'tests')\n"
        "from postgres_server import postgres_server\n"
        f"with postgres_server({str(postgres.folder.parent)!r}) as server:\n"
        "    print(server.process.pid, server.folder, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        pid, folder = process.stdout.readline().split()
        process.send_signal(signal.SIGKILL)

    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    subprocess.run(["rm", "-rf", folder], check=True)
    if Path("/proc").exists():
        assert not Path(f"/proc/{pid}").exists()
