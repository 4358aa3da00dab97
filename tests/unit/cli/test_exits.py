from broker.cli.exits import ExitCode, broker_errors, exit_code, messages
from broker.errors import ConfigurationError, ListenerError, Mistake, SourceError


def test_errors_are_taken_out_of_nested_groups() -> None:
    first, second = SourceError("no answer"), ListenerError("in use")
    group = BaseExceptionGroup("", [first, BaseExceptionGroup("", [second])])
    assert broker_errors(group) == [first, second]


def test_a_group_with_a_bug_is_a_bug() -> None:
    assert broker_errors(ExceptionGroup("", [SourceError("no answer"), KeyError("x")])) is None
    assert broker_errors(ValueError()) is None


def test_the_users_mistakes_exit_with_2_and_the_worlds_faults_with_1() -> None:
    assert exit_code([ConfigurationError("wrong")]) == ExitCode.USER == 2
    assert exit_code([SourceError("gone")]) == ExitCode.WORLD == 1
    assert exit_code([SourceError("gone"), ConfigurationError("wrong")]) == 2


def test_each_mistake_is_a_line_with_its_place_and_said_once() -> None:
    mistake = Mistake(message="must be a number", path="A.B", place="broker.yaml:3:1")
    assert messages([ConfigurationError([mistake, mistake]), SourceError("gone")]) == [
        "broker.yaml:3:1: A.B: must be a number",
        "gone",
    ]
