"""Several processes hammer one SQLite file; one of them is killed in the middle of its writes."""

import os
import signal
import sys
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from broker.stores.sqlite import SqliteStateStore
from tests.conformance.store_contract import increment

pytestmark = pytest.mark.anyio

PROJECT = Path(__file__).parents[2]
PROGRAM = """
import sys, anyio
from pathlib import Path
from broker.stores.sqlite import SqliteStateStore
from tests.conformance.store_contract import increment

async def main(path, times, name):
    async with SqliteStateStore(Path(path)) as store:
        print("open", flush=True)
        for number in range(int(times)):
            await increment(store, 1, f"{name}-{number}")
            print(number + 1, flush=True)

anyio.run(main, *sys.argv[1:])
"""
ENDLESS = 1_000_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def started(path: Path, times: int, name: str) -> Process:
    return await anyio.open_process(
        [sys.executable, "-c", PROGRAM, str(path), str(times), name], cwd=PROJECT, stderr=sys.stderr, env=os.environ
    )


async def numbers_said(process: Process, at_least: int = ENDLESS) -> int:
    """How many increments the process has reported: until it ends, or until it was `at_least` so many."""
    text = b""
    try:
        while text.count(b"\n") <= at_least:
            text += await process.stdout.receive()  # type: ignore[union-attr]
    except anyio.EndOfStream:
        pass
    return text.count(b"\n") - 1


async def test_no_increment_of_several_processes_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    processes = [await started(path, 30, name) for name in ("a", "b", "c")]
    async with SqliteStateStore(path) as store:
        await increment(store, 30, "here")
        for process in processes:
            assert await numbers_said(process) == 30
            assert await process.wait() == 0
            await process.aclose()
        row = await store.get("numbers", "n")
    assert row is not None
    assert (row.version, row.value) == (120, {"count": 120})


async def test_a_process_that_is_killed_in_the_middle_of_its_writes_leaves_a_file_that_works(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    async with SqliteStateStore(path) as store:
        mine = said = 0
        for kill in range(3):
            async with await started(path, ENDLESS, f"killed-{kill}") as process:
                said += await numbers_said(process, at_least=10)
                await increment(store, 5, f"here-{kill}")
                mine += 5
                process.send_signal(signal.SIGKILL)
                said += await numbers_said(process) + 1
                assert await process.wait() == -signal.SIGKILL
        await increment(store, 5, "after")
        row = await store.get("numbers", "n")
    assert row is not None
    assert row.version == row.value["count"]
    unheard = row.version - (mine + 5 + said)
    assert 0 <= unheard <= 3, "what was reported stands; of each killed process one write more may"
