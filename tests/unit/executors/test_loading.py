"""From a name to a callable, and back."""

import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.errors import ConfigurationError
from broker.executors.loading import load_callable, make_importable, name_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith("shop_"):
            del sys.modules[name]


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


def message_of(name: str, folder: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_callable(name, folders=[folder])
    return str(caught.value)


def test_a_function_is_found_in_a_module_of_the_folder(folder: Path) -> None:
    write(folder, "shop_a.py", "def reserve(event, context):\n    return 'reserved'\n")
    assert load_callable("shop_a:reserve", folders=[folder])(None, None) == "reserved"


def test_an_attribute_of_a_class_is_found(folder: Path) -> None:
    write(folder, "shop_b.py", "class Orders:\n    def reserve(event, context):\n        return 1\n")
    assert load_callable("shop_b:Orders.reserve", folders=[str(folder)])(None, None) == 1


def test_the_folder_comes_first_and_stays_importable(folder: Path) -> None:
    make_importable([folder, folder])
    make_importable([folder])
    assert sys.path[0] == str(folder)
    assert sys.path.count(str(folder)) == 1


@pytest.mark.parametrize("name", ["shop", "shop:", ":f", "shop.:f", "shop:f()", "shop/handlers:f", "shop:f:g", ""])
def test_a_name_of_the_wrong_form_is_refused(name: str, folder: Path) -> None:
    assert message_of(name, folder) == f'{name!r} is not of the form "package.module:function"'


def test_a_mistake_says_where_the_name_is_written() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_callable("shop", path="Functions[0].Callable", place="broker.yaml:3:5")
    assert str(caught.value).startswith("broker.yaml:3:5: Functions[0].Callable: 'shop' is not of the form")


def test_a_module_that_does_not_exist_is_named_with_where_it_was_looked_for(folder: Path) -> None:
    message = message_of("shop_missing.handlers:reserve", folder)
    assert message.startswith("'shop_missing.handlers:reserve': there is no module 'shop_missing' in ")
    assert str(Path.cwd()) in message


def test_a_module_that_imports_what_is_missing_is_told_apart(folder: Path) -> None:
    write(folder, "shop_c.py", "import shop_absent\n")
    message = message_of("shop_c:reserve", folder)
    assert message.startswith("the import of 'shop_c' failed: No module named 'shop_absent'; install what is missing")
    assert message.endswith("shop_c.py:1)")


def test_an_import_that_raises_is_told_with_its_line(folder: Path) -> None:
    write(folder, "shop_d.py", "x = 1\n\nraise RuntimeError('no database')\n")
    message = message_of("shop_d:reserve", folder)
    assert message.startswith("the import of 'shop_d' failed: RuntimeError: no database (")
    assert message.endswith("shop_d.py:3)")


def test_an_import_that_exits_does_not_end_the_broker(folder: Path) -> None:
    write(folder, "shop_e.py", "import sys\nsys.exit()\n")
    assert message_of("shop_e:reserve", folder).startswith("the import of 'shop_e' failed: SystemExit (")


def test_a_syntax_error_is_told_with_its_line(folder: Path) -> None:
    write(folder, "shop_f.py", "def reserve(:\n")
    message = message_of("shop_f:reserve", folder)
    assert message.startswith("the import of 'shop_f' failed: SyntaxError: invalid syntax")
    assert message.endswith("shop_f.py:1)")


def test_a_module_that_cannot_be_decoded_is_told_without_a_line(folder: Path) -> None:
    (folder / "shop_g.py").write_bytes(b"x = '\xff'\n")
    assert message_of("shop_g:reserve", folder).startswith("the import of 'shop_g' failed: SyntaxError: ")


def test_a_missing_attribute_is_named_with_the_file(folder: Path) -> None:
    write(folder, "shop_h.py", "def release(event, context): ...\n")
    expected = f"'shop_h:reserve': the module 'shop_h' ({folder / 'shop_h.py'}) has no 'reserve'"
    assert message_of("shop_h:reserve", folder) == expected


def test_a_package_without_a_file_says_so(folder: Path) -> None:
    (folder / "shop_i").mkdir()
    assert "(no file)" in message_of("shop_i:reserve", folder)


def test_what_cannot_be_called_is_refused(folder: Path) -> None:
    write(folder, "shop_j.py", "reserve = 3\n")
    assert message_of("shop_j:reserve", folder) == "'shop_j:reserve' is int, not a function that can be called"


def test_the_cause_of_a_failed_import_is_kept(folder: Path) -> None:
    write(folder, "shop_k.py", "1 / 0\n")
    with pytest.raises(ConfigurationError) as caught:
        load_callable("shop_k:reserve", folders=[folder])
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


# ---- and back


def test_the_name_of_a_function_leads_back_to_it(folder: Path) -> None:
    write(folder, "shop_l.py", "class Orders:\n    def reserve(event, context): ...\n")
    handler = load_callable("shop_l:Orders.reserve", folders=[folder])
    assert name_of(handler) == "shop_l:Orders.reserve"


def bound_to_an_object() -> object:
    class Orders:
        def reserve(self, event: object, context: object) -> None: ...

    return Orders().reserve


def of_the_program() -> None: ...


of_the_program.__module__ = "__main__"


def replaced() -> None: ...


replaced.__qualname__ = "folder"


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (lambda event, context: None, "exists only while its surroundings run"),
        (bound_to_an_object(), "exists only while its surroundings run"),
        (functools.partial(replaced), "has no name that another process could import"),
        (of_the_program, "of_the_program is part of the program that was started"),
        (replaced, "is not the callable that was given"),
    ],
)
def test_what_another_process_cannot_import_is_refused_with_the_remedy(handler: object, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as caught:
        name_of(handler)  # type: ignore[arg-type]
    assert "move it to the top level of a module" in str(caught.value)
