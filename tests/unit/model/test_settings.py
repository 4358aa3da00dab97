"""The broker's own settings."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from broker.model.reference import StoreKind, StoreReference
from broker.model.settings import BrokerSettings, Configuration, Dev, Listener


def mistake(**fields: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        BrokerSettings.model_validate(fields)
    (only,) = raised.value.errors()
    return only["msg"]


def test_settings_need_nothing() -> None:
    made = BrokerSettings()
    assert made.data_folder == Path(".broker")
    assert made.state_store == "memory:"
    assert made.control_plane.address == ("127.0.0.1", 3001)
    assert made.health.address == ("127.0.0.1", 3002)
    assert made.drain_timeout_in_seconds == 60
    assert (made.log_format, made.log_level) == ("auto", "INFO")
    assert made.dev.emulator_command is None


def test_a_configuration_needs_nothing() -> None:
    assert Configuration() == Configuration(broker=BrokerSettings(), functions=(), event_source_mappings=())


@pytest.mark.parametrize(
    ("listen", "address"),
    [("127.0.0.1:3001", ("127.0.0.1", 3001)), ("[::1]:0", ("::1", 0)), ("localhost:65535", ("localhost", 65535))],
)
def test_an_address_is_host_and_port(listen: str, address: tuple[str, int]) -> None:
    assert Listener(listen=listen).address == address


@pytest.mark.parametrize("listen", ["3001", ":3001", "::1:3001"])
def test_an_address_without_a_host_is_refused(listen: str) -> None:
    assert "an address to listen on is written" in mistake(Health={"Listen": listen})


@pytest.mark.parametrize("port", ["65536", "http", "-1", "", "٣"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    assert "a port is a number from 0 (any free one) to 65535" in mistake(Health={"Listen": f"127.0.0.1:{port}"})


@pytest.mark.parametrize(
    ("store", "kind", "place"),
    [
        ("memory:", StoreKind.MEMORY, ""),
        ("sqlite:", StoreKind.SQLITE, ""),
        ("sqlite:x/y z.db", StoreKind.SQLITE, "x/y z.db"),
        ("sqlite:/var/lib/broker.db", StoreKind.SQLITE, "/var/lib/broker.db"),
        ("dynamodb:broker-", StoreKind.DYNAMODB, "broker-"),
    ],
)
def test_a_store_is_a_kind_and_a_place(store: str, kind: StoreKind, place: str) -> None:
    assert BrokerSettings(state_store=store).store == StoreReference(kind=kind, place=place)


@pytest.mark.parametrize(
    ("store", "sentence"),
    [
        ("redis:", "use memory:, sqlite:, sqlite:PATH or dynamodb:TABLE_PREFIX"),
        ("sqlite", "use memory:, sqlite:, sqlite:PATH or dynamodb:TABLE_PREFIX"),
        ("sqlite:///var/x.db", "write the path after the colon, as sqlite:/var/lib/x.sqlite"),
        ("memory:x", "memory: takes nothing after the colon"),
        ("dynamodb:", "dynamodb: takes the beginning of a table's name"),
        ("dynamodb:a b", "dynamodb: takes the beginning of a table's name"),
    ],
)
def test_a_store_that_is_none_is_refused(store: str, sentence: str) -> None:
    assert mistake(StateStore=store) == f"{store!r} is not a state store: {sentence}"


def test_a_lease_lasts_from_two_seconds_to_five_minutes() -> None:
    assert BrokerSettings().lease_duration_in_seconds == 10
    assert BrokerSettings(lease_duration_in_seconds=2).lease_duration_in_seconds == 2
    assert mistake(LeaseDurationInSeconds=1.9)
    assert mistake(LeaseDurationInSeconds=301)


@pytest.mark.parametrize("account", ["1", "12345678901x", "1234567890123"])
def test_an_account_has_twelve_digits(account: str) -> None:
    assert mistake(AccountId=account)


def test_a_data_folder_is_a_path() -> None:
    assert BrokerSettings(data_folder=Path("/var/lib/broker")).data_folder == Path("/var/lib/broker")
    assert mistake(DataFolder="")
    assert mistake(DataFolder=3)


def test_an_emulator_is_started_by_words() -> None:
    words = ("python", "-m", "my emulator")
    assert Dev.model_validate({"EmulatorCommand": "python -m 'my emulator'"}).emulator_command == words
    assert Dev(emulator_command=words).emulator_command == words
    assert Dev.model_validate({"EmulatorCommand": list(words)}).emulator_command == words


def test_an_emulators_command_that_cannot_be_taken_apart_is_refused() -> None:
    assert "the command cannot be taken apart" in mistake(Dev={"EmulatorCommand": "python 'x"})
    assert mistake(Dev={"EmulatorCommand": ""})
