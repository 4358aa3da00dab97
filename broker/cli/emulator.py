"""The AWS emulator that `broker dev` runs: a child process on loopback that never outlives the command."""

import importlib.util
import os
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import STDOUT

import anyio
from anyio.abc import Process

from broker.cli import leash
from broker.errors import CommandError

HOST = "127.0.0.1"
READY_SECONDS = 30.0
"""It takes half a second; a loaded machine gets more."""
POLL_SECONDS = 0.05
ENDING_SECONDS = leash.GRACE_SECONDS + 2.0
LOG_LINES_SHOWN = 5

SERVICES = ("sqs", "kinesis", "dynamodb", "dynamodbstreams", "sns", "s3", "sts")
"""Sources, the state store, destinations, and whose account it is; each of them is loaded when it is first asked."""

HOW_TO_HAVE_ONE = (
    "no AWS emulator found: `broker dev` runs ministack as a child process. Install it apart from the broker, because "
    "it pins other versions of the same libraries: `pipx install ministack`, or `python -m venv .venvs/emulator` and "
    "`.venvs/emulator/bin/pip install ministack`; or name a command as BROKER_DEV__EMULATOR_COMMAND"
)

FORGOTTEN_VARIABLES = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_DYNAMODB_STREAMS",
    "AWS_ENDPOINT_URL_KINESIS",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SNS",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
"""What would lead a client past the emulator, to a real account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """A running emulator."""

    url: str
    """`http://127.0.0.1:PORT`."""
    account_id: str
    region: str
    log: Path
    """What it writes."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which every AWS client talks to it; an access key of twelve digits names the account."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.account_id,
            "AWS_SECRET_ACCESS_KEY": "emulated",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def enter_environment(self) -> None:
        """Points this process at the emulator; to be called before any client is made."""
        for name in FORGOTTEN_VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(self.environment)
        for name in ("NO_PROXY", "no_proxy"):
            os.environ[name] = ",".join(filter(None, (os.environ.get(name), HOST)))


def find_command(setting: Sequence[str] | None) -> list[str]:
    """The emulator's command: as set, else installed beside the broker, else on PATH, else importable.

    Raises `CommandError`, which says how to have one.
    """
    if setting:
        return list(setting)
    beside = Path(".venvs/emulator"), Path(sys.prefix).parent / "emulator"
    for environment in beside:
        command = environment / "bin" / "ministack"
        if command.is_file():
            return [str(command.absolute())]
    if found := shutil.which("ministack"):
        return [found]
    if importlib.util.find_spec("ministack"):
        return [sys.executable, "-m", "ministack"]
    raise CommandError(HOW_TO_HAVE_ONE)


@asynccontextmanager
async def running_emulator(
    command: list[str], *, folder: Path, account_id: str, region: str, port: int = 0
) -> AsyncIterator[Emulator]:
    """Runs the emulator while the block is open; what it writes goes to `folder`/emulator.log.

    Raises `CommandError` where it cannot be started or does not answer.
    """
    if port and await _answers(port):
        raise CommandError(f"port {port} of {HOST} is taken by another program: choose another, or leave it out")
    port = port or _free_port()
    emulator = Emulator(url=f"http://{HOST}:{port}", account_id=account_id, region=region, log=folder / "emulator.log")
    process = await _start(command, emulator.log, _child_environment(emulator, port, folder))
    try:
        await _wait_until_ready(process, emulator, port, command)
        yield emulator
    finally:
        await _end(process)


async def _start(command: list[str], log: Path, environment: Mapping[str, str]) -> Process:
    if shutil.which(command[0]) is None:
        raise CommandError(f"the emulator's command was not found: {command[0]}; correct Broker.Dev.EmulatorCommand")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return await anyio.open_process(
            [sys.executable, "-I", leash.__file__, *command],
            stdout=output,
            stderr=STDOUT,
            env=environment,
            start_new_session=True,
        )


def _child_environment(emulator: Emulator, port: int, folder: Path) -> dict[str, str]:
    """Loopback only, few services, without Docker, and with its files in our folder."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "SERVICES": ",".join(SERVICES),
        "MINISTACK_ACCOUNT_ID": emulator.account_id,
        "MINISTACK_REGION": emulator.region,
        "DOCKER_HOST": "unix:///nonexistent",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "TMPDIR": str(folder.absolute()),
    }


async def _wait_until_ready(process: Process, emulator: Emulator, port: int, command: list[str]) -> None:
    with anyio.move_on_after(READY_SECONDS):
        while process.returncode is None:
            if await _answers(port) and process.returncode is None:
                return
            await anyio.sleep(POLL_SECONDS)
    how = "did not answer" if process.returncode is None else f"ended at once (exit code {process.returncode})"
    raise CommandError(f"the emulator {how}: {shlex.join(command)}; {_last_words(emulator.log)}")


async def _answers(port: int) -> bool:
    try:
        async with await anyio.connect_tcp(HOST, port):
            return True
    except OSError:
        return False


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"it wrote: {' | '.join(lines[-LOG_LINES_SHOWN:])}" if lines else "it wrote nothing"


async def _end(process: Process) -> None:
    with anyio.move_on_after(ENDING_SECONDS, shield=True):
        if process.stdin:
            with suppress(OSError, anyio.BrokenResourceError):
                await process.stdin.aclose()
        await process.wait()
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    with anyio.CancelScope(shield=True):
        await process.aclose()


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listening:
        return int(listening.getsockname()[1])
