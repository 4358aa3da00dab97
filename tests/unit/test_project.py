"""The project's own rules, where no tool of `make check` looks."""

import ast
import re
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from broker.config import load

ROOT = Path(__file__).parents[2]
PACKAGE = sorted((ROOT / "broker").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

LONGEST_MODULE = 400
LONGEST_FUNCTION = 50

BOUNDARIES = {
    "broker/cli/main.py": "the command: every error becomes a message and an exit code",
    "broker/executors/loading.py": "the import of a callable runs the user's code",
    "broker/executors/user_code.py": "the handler is the user's code, and so are the methods of what it returns",
    "broker/runtime/queue_run.py": "a bug in one mapping must not end the others",
    "broker/runtime/stream_run.py": "the same, and a fault of the world lets a shard or a listing begin again",
}
"""The only modules that catch everything, and why."""

HOSTS = {
    "127.0.0.1",
    "[::1]",
    "localhost",
    "docs.aws.amazon.com",
    "json-schema.org",
    "keepachangelog.com",
    "semver.org",
    "www.apache.org",
}
"""Hosts that text may name, besides reserved names, addresses, and names without a dot (services of a compose file)."""
RESERVED_HOST = re.compile(r"(.+\.)?(example|test|invalid|localhost|amazonaws\.com)(\.(com|org|net|cn))?")
URL = re.compile(r"https?://(?:[^/\s\"'`<>@]*@)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)")
FOLDER_OF_ONE_MACHINE = re.compile(r"(?<![\w.)}*~-])/(?:work|home|mnt|srv|root)/")
CONTAINERS = "../shared/containers/up"
"""The one path outside the project, and only `.ci/run` asks whether it is there."""
OUTSIDE = re.compile(r"(?<![\w./])\.\./\w[\w/.-]*")

TEXT_SUFFIXES = {
    ".cfg",
    ".ini",
    ".json",
    ".md",
    ".py",
    ".service",
    ".sh",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
    ".patch",
    "",
}
NOT_OURS = {"__pycache__", "build", "dist"}


def texts() -> Iterator[tuple[str, str]]:
    """Every text file of the project but this one."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part not in {".ci", ".dockerignore", ".gitignore"} for part in parts)
        if hidden or NOT_OURS.intersection(parts) or path == Path(__file__):
            continue
        if path.is_file() and path.suffix in TEXT_SUFFIXES:
            yield name_of(path), path.read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def catches_everything(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(each is None or getattr(each, "id", "") in {"Exception", "BaseException"} for each in caught)


def imported_by(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


# ---- code


def test_everything_is_caught_at_the_listed_boundaries_only() -> None:
    found = {name_of(path) for path in PACKAGE if any(map(catches_everything, ast.walk(tree(path))))}
    assert found == set(BOUNDARIES)


def test_no_module_is_longer_than_the_ceiling() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE}
    assert {name: length for name, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_no_function_is_longer_than_the_ceiling() -> None:
    functions = [
        (f"{name_of(path)}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1)
        for path in [*PACKAGE, *TESTS]
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]
    assert {name: length for name, length in functions if length > LONGEST_FUNCTION} == {}


def test_only_the_virtual_time_loop_imports_asyncio() -> None:
    importers = {
        name_of(path) for path in PACKAGE if any(name.split(".")[0] == "asyncio" for name in imported_by(tree(path)))
    }
    assert importers == {"broker/testing/virtual_time.py"}


def test_tests_use_fakes_and_never_mocks() -> None:
    importers = {name_of(path) for path in TESTS if any("mock" in name for name in imported_by(tree(path)))}
    assert importers == set()


def test_nothing_is_left_to_be_done_later() -> None:
    left = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|pragma: no cover|NotImplementedError")
    found = [name for name, text in texts() if name.startswith("broker/") and left.search(text)]
    assert found == []


# ---- what the text may name


def test_urls_name_only_hosts_that_are_reserved_local_or_listed() -> None:
    strange = [
        f"{name}: {host}"
        for name, text in texts()
        for host in URL.findall(text)
        if "." in host and host not in HOSTS and not RESERVED_HOST.fullmatch(host) and not is_an_address(host)
    ]
    assert strange == []


def is_an_address(host: str) -> bool:
    return re.fullmatch(r"[0-9.]+|\[[0-9a-fA-F:.]+\]", host) is not None


def test_no_text_names_a_folder_of_one_machine() -> None:
    found = [f"{name}: {match[0]}" for name, text in texts() if (match := FOLDER_OF_ONE_MACHINE.search(text))]
    assert found == []


def test_no_text_names_a_file_outside_the_project() -> None:
    found = [
        f"{name}: {match[0]}"
        for name, text in texts()
        if (match := OUTSIDE.search(text.replace(CONTAINERS, "") if name == ".ci/run" else text))
    ]
    assert found == []


# ---- examples


@pytest.mark.parametrize("path", sorted((ROOT / "config").rglob("*.yaml")), ids=name_of)
def test_every_example_of_a_configuration_is_valid(path: Path) -> None:
    configuration = load(path, environment={})
    assert configuration.event_source_mappings


# ---- documents

LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md"]


def anchors(document: Path) -> set[str]:
    headings = HEADING.findall(FENCE.sub("", document.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    broken = []
    for link in LINK.findall(document.read_text(encoding="utf-8")):
        if link.startswith(("https://", "http://")):
            continue
        file, _, anchor = link.partition("#")
        target = document.parent / file if file else document
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_changelog_has_dated_versions_newest_first_and_the_latest_is_the_packages() -> None:
    versions = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    form = re.compile(r"\[?(?P<version>\d+\.\d+\.\d+)\]? - (?P<date>\d{4}-\d{2}-\d{2})")
    dated = [form.fullmatch(heading) for heading in versions if heading != "Unreleased"]
    assert all(dated)
    numbers = [tuple(map(int, match["version"].split("."))) for match in dated if match]
    assert numbers == sorted(numbers, reverse=True)
    assert [date.fromisoformat(match["date"]) for match in dated if match]
    assert ".".join(map(str, numbers[0])) == project()["version"]


def test_every_change_stands_below_a_kind_of_change() -> None:
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    kind = None
    for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            kind = None
        elif line.startswith("### "):
            kind = line.removeprefix("### ")
            assert kind in kinds
        elif line.startswith("- "):
            assert kind is not None, line


def project() -> dict[str, str]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
