"""A broker under load: a queue in the emulator, a handler that notes what it handled, and the books at the end.

The handler appends one line for each message before it returns, to a file that all generations of the broker share:
which process handled which message at which delivery. What the file and the queue say together is the proof.
"""

import json
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.acceptance.command import Place, Running

PATIENCE_SECONDS = 120.0
"""For whatever must come true sooner or later: a loaded machine is no failure."""
POLL_SECONDS = 0.02
ENTRIES_PER_CALL = 10
ACCOUNT_AND_REGION = "eu-west-1:123456789012"

NOTES = """\
import asyncio, os, random, time

NOTES = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
PROCESS = f"{os.getpid()}.{time.time_ns()}"

def note(event):
    for record in event["Records"]:
        count = record["attributes"]["ApproximateReceiveCount"]
        os.write(NOTES, f"{PROCESS} {record['body']} {count}\\n".encode())

"""
SYNC_HANDLER = """
def handler(event, context):
    time.sleep(random.uniform(0.02, 0.05))
    note(event)
"""
ASYNC_HANDLER = """
async def handler(event, context):
    await asyncio.sleep(random.uniform(0.02, 0.05))
    note(event)
"""


@dataclass(frozen=True)
class Handled:
    """One line of the notes."""

    process: str
    body: str
    receive_count: int

    @property
    def pid(self) -> int:
        return int(self.process.partition(".")[0])


def wait_until(is_true: Callable[[], bool], *, what: str, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)


class Load:
    """A queue with a dead-letter queue, and everything to run generations of a broker on it."""

    def __init__(
        self,
        place: Place,
        sqs: Any,
        *,
        handler: str = SYNC_HANDLER,
        fifo: bool = False,
        groups: int = 1,
        receives: int = 1000,
        visibility_seconds: int = 30,
        timeout_seconds: int = 3,
        drain_seconds: float = 20,
        mapping: str = "",
        extensions: str = "LongPollSeconds: 1",
    ) -> None:
        self.place = place
        self.sqs = sqs
        self.sent: list[str] = []
        self._groups = groups if fifo else 0
        self.folder = place.folder
        """Where the newest generation works."""
        self._generation = 0
        self._newest: Running | None = None
        suffix = ".fifo" if fifo else ""
        kind = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if fifo else {}
        self.name = f"load-{uuid4()}{suffix}"
        self.dead_letter_url = self._create(f"dead-{self.name}", kind)
        arn = f"arn:aws:sqs:{ACCOUNT_AND_REGION}:dead-{self.name}"
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": str(receives)})
        attributes = {**kind, "RedrivePolicy": redrive, "VisibilityTimeout": str(visibility_seconds)}
        self.url = self._create(self.name, attributes)
        self.notes = place.folder / "notes.txt"
        self.notes.touch()
        self.file = place.write(
            "broker.yaml",
            f"Broker: {{DrainTimeoutInSeconds: {drain_seconds}}}\n"
            f"Functions: [{{FunctionName: load, Callable: 'load_app:handler', Timeout: {timeout_seconds}}}]\n"
            f"EventSourceMappings:\n"
            f"  - FunctionName: load\n"
            f"    EventSourceArn: arn:aws:sqs:{ACCOUNT_AND_REGION}:{self.name}\n"
            f"    BatchSize: 10\n"
            f"    Broker: {{{extensions}}}\n{mapping}",
        )
        self.write_handler(handler)

    def write_handler(self, handler: str) -> None:
        """What the next generation runs."""
        self.place.write("load_app.py", NOTES + handler)

    def _create(self, name: str, attributes: dict[str, str]) -> str:
        return str(self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    # ---- messages

    def send(self, count: int) -> None:
        """Sends messages whose bodies are `group/number`, round the groups; without groups the group is 0."""
        first = len(self.sent)
        for start in range(first, first + count, ENTRIES_PER_CALL):
            numbers = range(start, min(start + ENTRIES_PER_CALL, first + count))
            self.sqs.send_message_batch(QueueUrl=self.url, Entries=[self._entry(number) for number in numbers])
            self.sent += [self._body(number) for number in numbers]

    def _body(self, number: int) -> str:
        groups = self._groups or 1
        return f"{number % groups}/{number // groups}"

    def _entry(self, number: int) -> dict[str, str]:
        body = self._body(number)
        group = {"MessageGroupId": body.partition("/")[0]} if self._groups else {}
        return {"Id": str(number), "MessageBody": body, **group}

    @contextmanager
    def steady(self, *, per_second: int = 100) -> Iterator[None]:
        """Sends messages steadily while the block is open."""
        ended = threading.Event()

        def feed() -> None:
            while not ended.wait(ENTRIES_PER_CALL / per_second):
                self.send(ENTRIES_PER_CALL)

        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            yield
        finally:
            ended.set()
            feeder.join()

    # ---- the broker

    def start(self) -> Running:
        """Starts the next generation, in a folder of its own, and waits until it can be stopped properly."""
        self._newest = self.next_place().start("--debug", "run", str(self.file))
        self._newest.wait_for("mapping.state_changed")
        return self._newest

    def next_place(self) -> Place:
        """Where the next generation works."""
        self._generation += 1
        self.folder = self.place.folder / f"generation-{self._generation}"
        self.folder.mkdir()
        variables = {"NOTES": str(self.notes), "PYTHONPATH": str(self.place.folder)}
        return Place(self.folder, {**self.place.environment, **variables})

    def status(self, running: Running) -> Any:
        """What the mapping shows of itself."""
        url = json.loads(running.wait_for("broker.started").splitlines()[0])["listener"]
        with urllib.request.urlopen(f"{url}/status") as answer:
            return json.load(answer)[0]

    # ---- the books

    def handled(self) -> list[Handled]:
        """What all generations noted, in the order in which they did."""
        whole_lines = self.notes.read_text().rpartition("\n")[0].splitlines()
        return [Handled(process, body, int(count)) for process, body, count in map(str.split, whole_lines)]

    def handled_count(self) -> int:
        """How many lines were noted: one for each message and delivery."""
        return self.notes.read_bytes().count(b"\n")

    def wait_until(self, is_true: Callable[[], bool], *, what: str) -> None:
        """Waits for what the newest generation does; it must live meanwhile."""

        def is_done() -> bool:
            assert self._newest is not None, "no broker was started"
            assert self._newest.process.poll() is None, self._newest.text
            return is_true()

        wait_until(is_done, what=what)

    def wait_for_handled(self, count: int) -> None:
        """Waits until so many messages were noted, counting each delivery."""
        self.wait_until(lambda: self.handled_count() >= count, what=f"{count} messages handled")

    def wait_until_all_handled(self) -> None:
        """Waits until every message that was sent was noted."""
        self.wait_until(lambda: self.handled_count() >= len(self.sent) and not self.missing(), what="all handled")

    def wait_until_empty(self) -> None:
        """Waits until nothing is left in the queue."""
        self.wait_until(lambda: self.depth() == 0, what="an empty queue")

    def missing(self) -> set[str]:
        return set(self.sent) - {each.body for each in self.handled()}

    def duplicates(self) -> int:
        """Handlings beyond the first of each message."""
        handled = self.handled()
        return len(handled) - len({each.body for each in handled})

    def handled_twice_by_one_process(self) -> list[tuple[str, str]]:
        counts = Counter((each.process, each.body) for each in self.handled())
        return [key for key, count in counts.items() if count > 1]

    def repeated_by_process(self) -> dict[str, int]:
        """How many of each process's messages another process handled after it: what it left behind."""
        repeated: dict[str, int] = {each.process: 0 for each in self.handled()}
        last: dict[str, str] = {}
        for each in self.handled():
            if each.body in last:
                repeated[last[each.body]] += 1
            last[each.body] = each.process
        return repeated

    def order(self) -> dict[str, list[int]]:
        """By group, the numbers of its messages in the order of their first handling."""
        numbers: dict[str, list[int]] = defaultdict(list)
        for body in dict.fromkeys(each.body for each in self.handled()):
            group, _, number = body.partition("/")
            numbers[group].append(int(number))
        return numbers

    def depth(self, url: str | None = None) -> int:
        """Messages in the queue, those that are hidden too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=names)
        return sum(map(int, answer["Attributes"].values()))
