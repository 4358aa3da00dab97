"""What `broker validate` says of handlers."""

import pytest

from broker.cli.main import execute

FILE = """
Functions: [{{FunctionName: orders, Callable: '{name}'}}]
EventSourceMappings: [{{FunctionName: orders, EventSourceArn: 'arn:aws:sqs:eu-west-1:123456789012:orders'}}]
"""


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def orders(event, context): ...", "valid"),
        ("def order(event, context): ...", "has no 'orders'"),
        ("import no_such_library", "no_such_library"),
        ("def orders(event): ...", "two arguments: (event, context)"),
        ("orders = 7", "not a function that can be called"),
    ],
)
def test_a_handler_that_cannot_be_used_is_a_mistake(tmp_path, monkeypatch, capsys, source, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    name = f"desk{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source, "utf-8")
    (tmp_path / "broker.yaml").write_text(FILE.format(name=f"{name}:orders"), "utf-8")

    code = execute(["validate", "broker.yaml"])

    assert says in " ".join(capsys.readouterr().out.split())
    assert code == (0 if says == "valid" else 2)
