from broker.cli.summary import Account, adds_up, columns, rows, sentences, total


def account(source: str, sent: int, *, again: int = 0, handled: int = 0, filtered: int = 0, left: int = 0) -> Account:
    ends = {"handled": handled, "filtered": filtered, "left": left}
    return Account(source=source, sent=sent, ends=ends, handled_again=again)


GOOD = account("orders", 10, handled=6, filtered=1, left=3)
LOST = account("payments.fifo", 5, handled=4)


def test_counts_that_add_up_say_so() -> None:
    assert adds_up([GOOD])
    assert sentences([[GOOD]]) == ["sent 10 = handled 6 + filtered 1 + left 3", "It adds up."]


def test_each_kind_has_its_equation() -> None:
    stream = Account(source="clicks", sent=3, ends={"handled": 2, "in destination": 1})
    assert sentences([[GOOD], [stream]])[1:] == ["sent 3 = handled 2 + in destination 1", "It adds up."]


def test_what_is_lost_is_said_aloud_with_its_source() -> None:
    assert not adds_up([GOOD, LOST])
    assert sentences([[GOOD], [LOST]])[2:] == [
        "IT DOES NOT ADD UP.",
        "payments.fifo: sent 5 = handled 4 + filtered 0 + left 0: off by +1",
    ]


def test_sources_that_are_wrong_in_opposite_ways_do_not_add_up() -> None:
    twice = account("orders", 5, handled=6)
    assert total([LOST, twice]).missing == 0
    assert not adds_up([LOST, twice])


def test_what_was_handled_again_is_told() -> None:
    again = account("orders", 1, handled=1, again=3)
    assert sentences([[again]])[-1] == "handled more than once: 3"


def test_the_table_has_a_column_for_each_end_and_ends_with_the_total() -> None:
    assert [column.title for column in columns("queue", [GOOD])] == ["queue", "sent", "handled", "filtered", "left"]
    assert rows([GOOD, LOST])[-1] == ["total", 15, 10, 1, 3]
