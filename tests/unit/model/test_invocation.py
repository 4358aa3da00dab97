"""What an invocation ended with."""

import pytest

from broker.model.invocation import HandlerFailed


@pytest.mark.parametrize(
    ("stack_trace", "location"),
    [
        ((), ""),
        (('  File "shop/a.py", line 3, in f\n    g()\n', '  File "shop/b.py", line 12, in g\n'), "shop/b.py:12"),
        (("at handler (index.js:3:9)",), ""),
    ],
)
def test_a_failure_says_where_it_was_raised(stack_trace, location):
    assert HandlerFailed(error_type="E", message="no", stack_trace=stack_trace).location == location
