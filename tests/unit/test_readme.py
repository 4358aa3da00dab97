"""The README says what is so: its examples run or type-check, its commands parse, its tables are those of the code."""

import ast
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner

from broker import Broker, Surroundings
from broker.cli.exits import ExitCode
from broker.cli.main import command
from broker.config import load
from broker.model.fields import field_table
from broker.testing import (
    DYNAMODB,
    InMemoryQueue,
    InMemoryStream,
    InMemoryStreamSource,
    Process,
    VirtualClock,
)
from broker.testing.stores import InMemoryStateStore
from tests.typing.readme_streams import clicks, products
from tests.typing.readme_testing import anyio_backend, test_a_failed_order_comes_again  # noqa: F401 - collected here
from tests.typing.readme_testing_streams import (
    test_each_customers_clicks_stay_in_order_whatever_happens,  # noqa: F401 - collected here
)

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "tests" / "typing").glob("readme_*.py"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(README) if name == language]


def commands(program: str) -> list[list[str]]:
    """Every command line of the shell blocks that begins with this program, comments removed."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [words[1:] for line in lines if (words := shlex.split(line, comments=True))[:1] == [program]]


def section(heading: str) -> str:
    return README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def without_docstring(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    docstring = ast.parse(text).body[0]
    return "".join(text.splitlines(keepends=True)[docstring.end_lineno or 0 :]).lstrip("\n")


def test_every_python_example_is_a_file_that_mypy_checks_and_a_test_runs() -> None:
    assert sorted(blocks("python")) == sorted(map(without_docstring, EXAMPLES))


def test_the_example_of_a_service_can_be_imported() -> None:
    from tests.typing.readme_embedded import broker

    assert broker.statuses() == ()


@pytest.mark.anyio
async def test_the_example_of_streams_handles_clicks_and_changes(
    make_stream: Callable[..., InMemoryStream], virtual_clock: VirtualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    kinesis, table = make_stream("clicks"), make_stream("products", kind=DYNAMODB)
    broker = Broker(
        streams={stream.arn: InMemoryStreamSource(stream) for stream in (kinesis, table)},
        surroundings=Surroundings(clock=virtual_clock, raise_bugs=True),
    )
    broker.event_source_mapping(kinesis.arn, starting_position="TRIM_HORIZON")(clicks)
    broker.event_source_mapping(table.arn, starting_position="TRIM_HORIZON")(products)
    kinesis.put("customer-1", b'{"page": "/"}')
    table.change({"id": {"S": "7"}}, new_image={"id": {"S": "7"}})
    async with broker:
        await anyio.sleep(5)
    assert sorted(capsys.readouterr().out.splitlines()) == ["INSERT {'id': {'S': '7'}}", "customer-1 /"]


def test_the_verbs_of_the_readme_are_those_of_the_fakes() -> None:
    table = section("Testing handlers").partition("| on | verbs |")[2]
    rows = {
        row.split("|")[1].strip(): re.findall(r"`(\w+)", row) for row in table.splitlines() if row.startswith("| a")
    }
    fakes = {"a queue": InMemoryQueue, "a stream": InMemoryStream, "a process": Process, "a store": InMemoryStateStore}
    assert rows.keys() == fakes.keys()
    for name, fake in fakes.items():
        assert [verb for verb in rows[name] if not hasattr(fake, verb)] in ([], ["steal_lease"])


def test_there_is_an_example_in_each_language() -> None:
    assert all(blocks(language) for language in ("python", "yaml", "sh"))
    assert {name for name, _ in BLOCK.findall(README)} == {"python", "yaml", "sh"}


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_yaml_example_is_a_valid_configuration(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broker.yaml"
    file.write_text(text, encoding="utf-8")
    assert load(file, environment={}).event_source_mappings


@pytest.mark.parametrize("arguments", commands("broker"), ids=" ".join)
def test_every_command_of_the_readme_parses(arguments: list[str]) -> None:
    outcome = CliRunner().invoke(command, [*arguments, "--help"], prog_name="broker")
    assert outcome.exit_code == 0, outcome.output
    assert outcome.output.startswith("Usage: broker ")


def test_every_command_that_there_is_stands_in_the_readme() -> None:
    shown = {arguments[0] for arguments in commands("broker")}
    assert shown == set(command.commands)


@pytest.mark.parametrize("arguments", commands("make"), ids=" ".join)
def test_every_task_of_the_readme_is_in_the_makefile(arguments: list[str]) -> None:
    assert re.search(rf"^{re.escape(arguments[0])}:", MAKEFILE, re.MULTILINE)


def test_the_table_of_fields_is_that_of_the_code() -> None:
    shown = re.search(r"<!-- fields: .*? -->\n\n(.*?)\n\n<!-- /fields -->", README, re.DOTALL)
    assert shown
    assert shown[1] == field_table().rstrip()


def test_the_table_of_exit_codes_is_that_of_the_code() -> None:
    shown = {int(number) for row in re.findall(r"^\| ([\d, ]+) \|", README, re.MULTILINE) for number in row.split(",")}
    assert shown == {*map(int, ExitCode), 130, 143}


def test_each_statement_of_the_delivery_contract_names_tests_that_exist() -> None:
    contract = section("Delivery contract")
    rows = [row for row in contract.splitlines() if row.startswith("| ") and row != "| statement | proved by |"]
    assert rows
    for row in rows:
        proofs = re.findall(r"\[(test_\w+)\]\(([^)]+)\)", row)
        assert proofs, row
        for name, file in proofs:
            assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), name


def test_every_module_whose_header_infers_something_is_listed() -> None:
    modules = [path for path in (ROOT / "broker").rglob("*.py") if "testing" not in path.parts]
    inferring = {
        path.relative_to(ROOT).as_posix()
        for path in modules
        if "inferred" in (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").lower()
    }
    listed = set(re.findall(r"\]\((broker/[^)]+)\)", section("Where AWS does not say")))
    assert inferring - listed == set()


def test_the_benchmarks_have_their_place() -> None:
    assert README.count("<!-- benchmarks -->") == README.count("<!-- /benchmarks -->") == 1
