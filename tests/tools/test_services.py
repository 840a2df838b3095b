"""Programs started for tests: a failure says why, and nothing outlives the test."""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tools import services
from tests.tools.services import PostgreSQL, S3Store, leash, postgresql_programs, running

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")

# Starts a child of its own, writes both process ids to the given file, and waits.
PARENT = """
import os, pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()} {child.pid} .")
time.sleep(600)
"""


def process_ids(file: Path) -> list[int]:
    """The ids in `file`; none before it is complete."""
    words = file.read_text().split() if file.exists() else []
    return [int(word) for word in words[:-1]] if words[-1:] == ["."] else []


def wait_until_gone(process_id: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return
        state = Path(f"/proc/{process_id}/stat")
        if state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z":
            return  # ended, and not yet waited for by whoever inherited it
        time.sleep(0.05)
    pytest.fail(f"process {process_id} is still there")


def test_a_program_and_its_children_end_with_the_context(tmp_path: Path) -> None:
    ids = tmp_path / "ids"
    with running(
        [sys.executable, "-c", PARENT, str(ids)],
        log=tmp_path / "log",
        ready=lambda: bool(process_ids(ids)),
        environment=os.environ,
    ):
        found = process_ids(ids)
    for process_id in found:
        wait_until_gone(process_id)


def test_a_program_that_ends_at_once_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no such database'); raise SystemExit(3)"]
    with (
        pytest.raises(AssertionError, match=r"(?s)ended with 3.*no such database"),
        running(command, tmp_path / "log", lambda: False, os.environ),
    ):
        pytest.fail("it was never ready")


def test_a_program_that_is_never_ready_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "START_SECONDS", 2.0)
    ids = tmp_path / "ids"
    command = [sys.executable, "-c", PARENT, str(ids)]
    with (
        pytest.raises(AssertionError, match="is not ready"),
        running(command, tmp_path / "log", lambda: False, os.environ),
    ):
        pytest.fail("it was never ready")
    for process_id in process_ids(ids):
        wait_until_gone(process_id)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux)")
def test_a_program_ends_with_tests_that_are_killed(tmp_path: Path) -> None:
    """SIGKILL leaves no time to clean up."""
    ids = tmp_path / "ids"
    waiting = [*leash(), sys.executable, "-c", PARENT, str(ids)]
    tests = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({waiting!r})"]
    )
    deadline = time.monotonic() + 20
    while not process_ids(ids) and time.monotonic() < deadline:
        time.sleep(0.05)
    program, child = process_ids(ids)
    tests.send_signal(signal.SIGKILL)
    tests.wait()
    wait_until_gone(program)
    os.kill(child, signal.SIGKILL)  # its own parent's to end


def test_the_s3_store_takes_objects_and_refuses_who_has_no_key(s3: S3Store) -> None:
    boto3 = pytest.importorskip("boto3", reason="needs boto3: the extra `shared`")
    client = boto3.client(
        "s3",
        endpoint_url=s3.url,
        region_name="us-east-1",
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
    )
    s3.bucket("one")
    client.put_object(Bucket="one", Key="a", Body=b"spikes")
    assert client.get_object(Bucket="one", Key="a")["Body"].read() == b"spikes"
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(s3.url)
    assert error.value.code in (400, 401, 403)
    error.value.close()


def test_postgresql_lets_in_by_password_alone(postgresql: PostgreSQL) -> None:
    psycopg = pytest.importorskip("psycopg", reason="needs psycopg: the extra `shared`")
    with psycopg.connect(postgresql.create_database("one")) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("one",)
    guess = replace(postgresql, password="guessed")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(guess.uri("one"))


def test_absent_postgresql_is_a_skip_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services.Path, "glob", lambda self, pattern: iter(()))
    monkeypatch.setattr(services.shutil, "which", lambda name: None)
    with pytest.raises(pytest.skip.Exception, match="apt install postgresql"):
        postgresql_programs()
