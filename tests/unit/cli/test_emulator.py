import os
import sys
from pathlib import Path

import pytest

from broker.cli.emulator import Emulator, find_command
from broker.errors import CommandError


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which no emulator is to be found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_the_setting_wins(nowhere: Path) -> None:
    program(nowhere / ".venvs/emulator/bin/ministack")
    assert find_command(("docker", "run")) == ["docker", "run"]


def test_the_emulator_of_the_current_folder_comes_before_the_one_on_the_path(nowhere: Path) -> None:
    on_path = program(nowhere / "ministack")
    assert find_command(None) == [on_path]
    beside = program(nowhere / ".venvs/emulator/bin/ministack")
    assert find_command(None) == [beside]


def test_the_emulator_beside_the_brokers_environment_is_found(nowhere: Path) -> None:
    beside = program(nowhere / "emulator/bin/ministack")
    assert find_command(None) == [beside]


def test_without_an_emulator_the_user_is_told_how_to_have_one(nowhere: Path) -> None:
    with pytest.raises(CommandError, match="pipx install ministack"):
        find_command(None)


def test_the_environment_leads_to_the_emulator_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"AWS_PROFILE": "prod", "AWS_ENDPOINT_URL_SQS": "https://x", "NO_PROXY": "a"})
    Emulator(url="http://127.0.0.1:1", account_id="123456789012", region="eu-west-1", log=Path("x")).enter_environment()
    assert "AWS_PROFILE" not in os.environ
    assert "AWS_ENDPOINT_URL_SQS" not in os.environ
    assert (os.environ["AWS_ENDPOINT_URL"], os.environ["NO_PROXY"]) == ("http://127.0.0.1:1", "a,127.0.0.1")
    assert os.environ["AWS_ACCESS_KEY_ID"] == "123456789012"
