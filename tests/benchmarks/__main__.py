"""`python -m tests.benchmarks`: ratios against a plain aiobotocore loop, measured in one run.

Exits with 0 whatever the figures are: a machine's noise must not fail a build. They are printed next to their targets.
"""

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version

import anyio

from tests.benchmarks import dynamodb, kinesis, sqs
from tests.benchmarks.table import say

_OF_THE_ENVIRONMENT = (
    "AWS_PROFILE",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_KINESIS",
    "AWS_ENDPOINT_URL_DYNAMODB_STREAMS",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
)
_ROWS = ("sqs", "kinesis", "dynamodb")


@contextmanager
def stub_server() -> Iterator[str]:
    """Runs the server in a process of its own; yields its URL."""
    command = [sys.executable, "-m", "tests.benchmarks.stub_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        assert server.stdin
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()


def main() -> None:
    """Reads the arguments, starts the server, measures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender (default: %(default)s)")
    parser.add_argument("--messages", type=int, default=2000, help="messages in a turn (default: %(default)s)")
    parser.add_argument("--only", choices=_ROWS, action="append", help="what to measure (default: everything)")
    arguments = parser.parse_args()
    wanted = arguments.only or _ROWS
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aiobotocore", "botocore", "aiohttp", "orjson"))
    say(f"Python {platform.python_version()}, {libraries}, {os.cpu_count()} CPUs")
    with stub_server() as url:
        for name in _OF_THE_ENVIRONMENT:
            os.environ.pop(name, None)
        os.environ.update(AWS_ENDPOINT_URL=url, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
        if "sqs" in wanted:
            anyio.run(partial(sqs.run, endpoint_url=url, rounds=arguments.rounds, messages=arguments.messages))
        if "kinesis" in wanted:
            anyio.run(partial(kinesis.run, endpoint_url=url, rounds=arguments.rounds))
        if "dynamodb" in wanted:
            anyio.run(partial(dynamodb.run, endpoint_url=url, rounds=arguments.rounds))


if __name__ == "__main__":
    main()
