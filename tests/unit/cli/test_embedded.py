import pytest

from broker.cli.embedded import for_development
from broker.model.settings import BrokerSettings


@pytest.mark.parametrize("store", ["sqlite:", "sqlite:shop.sqlite", "memory:"])
def test_positions_of_streams_that_end_with_the_emulator_go_into_no_file(store: str) -> None:
    assert for_development(BrokerSettings(state_store=store)).state_store == "memory:"


def test_a_table_is_kept_for_the_emulator_has_it() -> None:
    assert for_development(BrokerSettings(state_store="dynamodb:shop")).state_store == "dynamodb:shop"


def test_what_handlers_errors_say_is_shown_unless_told_otherwise() -> None:
    assert for_development(BrokerSettings()).log_handler_error_messages
    assert not for_development(BrokerSettings(log_handler_error_messages=False)).log_handler_error_messages
