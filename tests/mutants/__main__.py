"""`python -m tests.mutants [NAME…]`: puts each kept bug back, one at a time; the test that is named after it must fail.

A mutant is a file beside this one, `NAME.toml`:

    prevents = "what goes wrong, in a sentence"
    file = "broker/core/settlement.py"
    find = '''text that occurs once in the file'''
    replace = '''the bug'''
    test = "tests/unit/core/test_x.py::test_that_names_it"

Each is applied to a copy of the project in a temporary folder, never to the work tree. It is caught when pytest ran the
test and the test failed; a text that is gone, a test that is gone, and an error before the test ran are failures of the
mutant itself.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
COPIED = ("broker", "tests", "config", "pyproject.toml")
LIMIT_SECONDS = 120
TESTS_FAILED = 1
"""pytest's exit code where tests ran and some failed."""
NONSENSE = re.compile(r": (NameError|SyntaxError|ImportError|ModuleNotFoundError|AttributeError|TypeError)\b")
"""A test that fails with one of these met code that makes no sense, not the bug."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug that was kept."""

    name: str
    prevents: str
    file: str
    find: str
    replace: str
    test: str


def load(names: Iterable[str]) -> list[Mutant]:
    """The mutants of these names, or all of them."""
    wanted = set(names)
    paths = [path for path in sorted(HERE.glob("*.toml")) if not wanted or path.stem in wanted]
    return [Mutant(name=path.stem, **tomllib.loads(path.read_text("utf-8"))) for path in paths]


def problem_of(mutant: Mutant) -> str:
    """Why the mutant was not caught; empty where it was."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        for name in COPIED:
            source = PROJECT / name
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, copy / name, ignore=ignored) if source.is_dir() else shutil.copy(source, copy)
        target = copy / mutant.file
        text = target.read_text("utf-8")
        if text.count(mutant.find) != 1:
            return f"its text occurs {text.count(mutant.find)} times in {mutant.file}"
        target.write_text(text.replace(mutant.find, mutant.replace), "utf-8")
        try:
            return _verdict(_run(mutant, copy))
        except subprocess.TimeoutExpired:
            return f"its test did not end within {LIMIT_SECONDS} s"


def _run(mutant: Mutant, folder: Path) -> subprocess.CompletedProcess[str]:
    options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=line"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, mutant.test],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def _verdict(ended: subprocess.CompletedProcess[str]) -> str:
    if nonsense := NONSENSE.search(ended.stdout):
        return f"its test met a {nonsense[1]} instead of the bug"
    if ended.returncode == TESTS_FAILED and re.search(r"^\d+ failed|, \d+ failed|^FAILED ", ended.stdout, re.MULTILINE):
        return ""
    last = (ended.stdout.strip() or ended.stderr.strip() or "no output").splitlines()[-1]
    return f"its test did not fail (pytest: {ended.returncode}, {last})"


def main() -> int:
    """Runs two at a time; prints a line each and the sum."""
    mutants = load(sys.argv[1:])
    with ThreadPoolExecutor(2) as pool:
        problems = list(pool.map(problem_of, mutants))
    for mutant, problem in zip(mutants, problems, strict=True):
        print(
            f"{'caught' if not problem else 'NOT CAUGHT'}  {mutant.name}: {mutant.prevents}{problem and f': {problem}'}"
        )
    caught = sum(not problem for problem in problems)
    print(f"{caught} passed, {len(mutants) - caught} failed")
    return 0 if mutants and caught == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
