"""Setting up: what is missing is named with its remedy, and what was interrupted begins anew."""

import shutil
import subprocess
from pathlib import Path

import pytest

MAKE_VENV = Path(__file__).parents[2] / "deploy" / "make-venv"
TOOLS = ("sh", "rm", "mv", "touch", "mkdir", "cp")

INTERPRETER = """#!/bin/sh
case "$*" in
  *version_info*) exit {too_old} ;;
  *ensurepip*) exit {no_venv} ;;
  --version) echo "Python 3.11.0" ;;
  "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
  "-m pip install "*) echo "installed" >> "{log}"; exit "${{PIP_EXIT:-0}}" ;;
esac
"""


class Machine:
    """A PATH with a few tools and interpreters that only pretend."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bin"
        self.path.mkdir()
        self.venv = folder / "venv"
        self.log = folder / "log"
        for tool in TOOLS:
            (self.path / tool).symlink_to(shutil.which(tool) or tool)

    def add(self, name: str, *, too_old: bool = False, no_venv: bool = False) -> None:
        script = INTERPRETER.format(too_old=int(too_old), no_venv=int(no_venv), log=self.log)
        (self.path / name).write_text(script)
        (self.path / name).chmod(0o755)

    def set_up(self, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [MAKE_VENV, self.venv, "a-package"],
            env={"PATH": str(self.path), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    @property
    def is_ready(self) -> bool:
        return (self.venv / ".ready").exists()

    @property
    def installs(self) -> int:
        return self.log.read_text().count("installed") if self.log.exists() else 0


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_machine_without_python_is_told_to_install_one(machine: Machine) -> None:
    outcome = machine.set_up()
    assert outcome.returncode == 1
    assert "apt install python3 python3-venv" in outcome.stderr
    assert not machine.venv.exists()


def test_a_python_that_is_too_old_is_named(machine: Machine) -> None:
    machine.add("python3", too_old=True)
    outcome = machine.set_up()
    assert outcome.returncode == 1
    assert "python3 is older than Python 3.11" in outcome.stderr


def test_a_missing_venv_module_is_named_with_its_package(machine: Machine) -> None:
    machine.add("python3", no_venv=True)
    outcome = machine.set_up()
    assert outcome.returncode == 1
    assert "python3 has no venv module" in outcome.stderr
    assert "apt install python3-venv" in outcome.stderr


def test_a_newer_python_is_found_beside_one_that_is_too_old(machine: Machine) -> None:
    machine.add("python3", too_old=True)
    machine.add("python3.12")
    assert machine.set_up().returncode == 0
    assert machine.is_ready


def test_the_interpreter_that_was_named_is_the_only_one_that_is_tried(machine: Machine) -> None:
    machine.add("python3")
    outcome = machine.set_up(PYTHON="python9")
    assert outcome.returncode == 1
    assert "python9 cannot be run" in outcome.stderr


def test_a_set_up_that_failed_is_not_taken_as_ready_and_begins_anew(machine: Machine) -> None:
    machine.add("python3")
    outcome = machine.set_up(PIP_EXIT="1")
    assert outcome.returncode == 1
    assert "pip could not install" in outcome.stderr
    assert not machine.is_ready
    leftover = machine.venv / "half-installed"
    leftover.touch()
    assert machine.set_up().returncode == 0
    assert machine.is_ready
    assert not leftover.exists()


def test_what_is_ready_is_kept_and_brought_up_to_date(machine: Machine) -> None:
    machine.add("python3")
    machine.set_up()
    kept = machine.venv / "kept"
    kept.touch()
    assert machine.set_up().returncode == 0
    assert kept.exists()
    assert machine.installs == 2


def test_a_folder_whose_interpreter_is_gone_is_made_again(machine: Machine) -> None:
    machine.add("python3")
    machine.set_up()
    (machine.venv / "bin" / "python").unlink()
    assert machine.set_up().returncode == 0
    assert (machine.venv / "bin" / "python").exists()
