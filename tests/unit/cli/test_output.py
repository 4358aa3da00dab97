import json

from broker.cli.output import Column, fitting_widths, plain_lines, print_json, print_table

COLUMNS = (Column(title="queue"), Column(title="polled", number=True), Column(title="state"))


def test_text_is_aligned_to_the_left_and_numbers_to_the_right() -> None:
    assert plain_lines(COLUMNS, [["orders", "7", "Enabled"], ["a", "1234567", ""]]) == [
        "queue    polled  state",
        "orders        7  Enabled",
        "a       1234567",
    ]


def test_the_widest_text_gives_way_and_numbers_do_not() -> None:
    rows = [["q" * 60, "1234567890", "Enabled"]]
    widths = fitting_widths(COLUMNS, rows, 40)
    assert widths == [19, 10, 7]
    assert sum(widths) + 4 == 40


def test_a_table_without_rows_has_its_titles() -> None:
    assert plain_lines(COLUMNS, []) == ["queue  polled  state"]


def test_a_pipe_gets_plain_columns(capsys) -> None:
    print_table(COLUMNS, [["orders", 7, "Enabled"]])
    assert capsys.readouterr().out == "queue   polled  state\norders       7  Enabled\n"


def test_a_machine_gets_json(capsys) -> None:
    print_json([{"a": 1}])
    assert json.loads(capsys.readouterr().out) == [{"a": 1}]
