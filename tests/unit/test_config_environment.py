"""The environment beats the file, and says so when it is wrong."""

from pathlib import Path

import pytest

from broker.config import load, notices
from broker.errors import ConfigurationError
from broker.model.settings import BrokerSettings, Configuration


def settings(**environment: str) -> BrokerSettings:
    return load(None, environment).broker


def mistakes(**environment: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load(None, environment)
    return [str(mistake) for mistake in raised.value.mistakes]


def test_a_variable_beats_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broker.yaml"
    path.write_text('Broker:\n  ControlPlane: {Listen: "127.0.0.1:1"}\n  LogLevel: ERROR\n')
    made = load(path, {"BROKER_CONTROL_PLANE__LISTEN": "127.0.0.1:2"}).broker
    assert made.control_plane.address == ("127.0.0.1", 2)
    assert made.log_level == "ERROR"


def test_a_variable_mends_what_is_wrong_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broker.yaml"
    path.write_text("Broker: {LogLevel: LOUD}\n")
    assert load(path, {"BROKER_LOG_LEVEL": "DEBUG"}).broker.log_level == "DEBUG"


def test_values_are_of_the_settings_type() -> None:
    made = settings(
        BROKER_DRAIN_TIMEOUT_IN_SECONDS="5",
        BROKER_ACCOUNT_ID="012345678901",
        BROKER_DATA_FOLDER="7",
        BROKER_DEV__EMULATOR_COMMAND="ministack --port '4 5'",
    )
    assert made.drain_timeout_in_seconds == 5
    assert made.account_id == "012345678901"
    assert made.data_folder == Path("7")
    assert made.dev.emulator_command == ("ministack", "--port", "4 5")


def test_a_mistake_names_the_variable() -> None:
    assert mistakes(BROKER_LOG_FORMAT="xml", BROKER_DRAIN_TIMEOUT_IN_SECONDS="fast") == [
        "BROKER_DRAIN_TIMEOUT_IN_SECONDS: Broker.DrainTimeoutInSeconds: must be a number, not the text 'fast'",
        "BROKER_LOG_FORMAT: Broker.LogFormat: must be one of auto, console, json, not the text 'xml'",
    ]


def test_a_setting_of_a_later_version_is_refused_by_name() -> None:
    assert mistakes(BROKER_CODE_STORE="file:") == [
        "BROKER_CODE_STORE: Broker.CodeStore: CodeStore is not supported by this version: remove it"
    ]


def test_a_group_of_settings_is_not_one_setting() -> None:
    assert mistakes(BROKER_HEALTH="127.0.0.1:1") == [
        "BROKER_HEALTH: Broker.Health: must be keys with values, not the text '127.0.0.1:1'"
    ]


def test_an_empty_variable_counts_as_absent() -> None:
    assert settings(BROKER_REGION="", BROKER_CONTROL_PLANE__LISTEN="") == BrokerSettings()


def test_a_file_whose_settings_are_none_stays_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "broker.yaml"
    path.write_text("Broker: [1]\n")
    with pytest.raises(ConfigurationError, match=r"Broker: must be keys with values, not a list"):
        load(path, {"BROKER_LOG_LEVEL": "INFO"})


def test_a_file_without_settings_takes_those_of_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "broker.yaml"
    path.write_text("Broker:\n")
    assert load(path, {"BROKER_HEALTH__LISTEN": "[::]:1"}).broker.health.address == ("::", 1)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("BROKER_LOGLEVEL", "; did you mean 'BROKER_LOG_LEVEL'?"),
        ("BROKER_LOG_LEVEL__X", "; did you mean 'BROKER_LOG_LEVEL'?"),
        ("BROKER_CONTROL_PLANE__LISTENS", "; did you mean 'BROKER_CONTROL_PLANE__LISTEN'?"),
        ("BROKER_URL", ""),
    ],
)
def test_a_variable_that_is_no_setting_is_told_of(name: str, hint: str) -> None:
    environment = {name: "x"}
    assert load(None, environment) == Configuration()
    assert notices(Configuration(), environment) == [f"{name} in the environment is no setting of the broker{hint}"]


def test_what_kubernetes_says_of_a_service_called_broker_is_no_setting() -> None:
    environment = {
        "BROKER_SERVICE_HOST": "10.0.0.1",
        "BROKER_SERVICE_PORT": "3001",
        "BROKER_PORT": "tcp://10.0.0.1:3001",
        "BROKER_PORT_3001_TCP_ADDR": "10.0.0.1",
        "PATH": "/bin",
    }
    assert load(None, environment) == Configuration()
    assert notices(Configuration(), environment) == []
