import click
import pytest

from broker.cli import main
from broker.errors import CommandError, ConfigurationError


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):
    def install(error: BaseException) -> None:
        @click.command()
        def fail() -> None:
            raise error

        monkeypatch.setitem(main.command.commands, "fail", fail)

    return install


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigurationError("BatchSize is wrong"), 2, "broker: BatchSize is wrong\n"),
        (CommandError("no emulator"), 1, "broker: no emulator\n"),
        (ExceptionGroup("", [CommandError("no emulator")]), 1, "broker: no emulator\n"),
    ],
)
def test_an_error_is_a_line_and_an_exit_code(failing, capsys, error: Exception, code: int, line: str) -> None:
    failing(error)
    assert main.execute(["fail"]) == code
    assert capsys.readouterr().err == line


def test_a_bug_is_one_line_without_a_traceback(failing, capsys) -> None:
    failing(KeyError("lost"))
    assert main.execute(["fail"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "this is a bug in the broker: KeyError" in err
    assert "--debug" in err


def test_a_bug_shows_its_traceback_when_asked(failing, capsys) -> None:
    failing(KeyError("lost"))
    assert main.execute(["--debug", "fail"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_outside_of_the_daemon_exits_with_130(failing) -> None:
    failing(KeyboardInterrupt())
    assert main.execute(["fail"]) == 130


def test_a_mistyped_command_exits_with_2(capsys) -> None:
    assert main.execute(["rnu"]) == 2
    assert "rnu" in capsys.readouterr().err


def test_help_and_version_exit_with_0(capsys) -> None:
    assert main.execute(["--help"]) == 0
    assert main.execute(["--version"]) == 0
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())
