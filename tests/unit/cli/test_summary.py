from broker.cli.summary import Account, adds_up, rows, sentences, total

GOOD = Account(queue="orders", sent=10, handled=6, filtered=1, dead_lettered=2, queued=1)
LOST = Account(queue="payments.fifo", sent=5, handled=4, filtered=0, dead_lettered=0, queued=0)


def test_counts_that_add_up_say_so() -> None:
    assert adds_up([GOOD])
    assert sentences([GOOD]) == [
        "sent 10 = handled 6 + filtered 1 + dead-lettered 2 + still queued 1",
        "It adds up.",
    ]


def test_a_lost_message_is_said_aloud_with_its_queue() -> None:
    assert not adds_up([GOOD, LOST])
    assert sentences([GOOD, LOST])[1:] == [
        "IT DOES NOT ADD UP.",
        "payments.fifo: sent 5 = handled 4 + filtered 0 + dead-lettered 0 + still queued 0: off by +1",
    ]


def test_queues_that_are_wrong_in_opposite_ways_do_not_add_up() -> None:
    twice = Account(queue="orders", sent=5, handled=6, filtered=0, dead_lettered=0, queued=0)
    assert total([LOST, twice]).missing == 0
    assert not adds_up([LOST, twice])


def test_messages_that_were_handled_again_are_told() -> None:
    again = Account(queue="orders", sent=1, handled=1, filtered=0, dead_lettered=0, queued=0, handled_again=3)
    assert sentences([again])[-1] == "handled more than once: 3"


def test_the_table_ends_with_the_total() -> None:
    assert rows([GOOD, LOST])[-1] == ["total", 15, 10, 1, 2, 1]
