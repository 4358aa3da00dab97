"""From `"shop.handlers:reserve"` to the callable that it names, and back.

Everything that can be wrong is the user's to mend, so every failure is a `ConfigurationError` that says what to do. The
import of a handler's module runs the user's code: a blanket `except` is allowed around it and nowhere else here.
"""

import importlib
import inspect
import sys
import traceback
from collections.abc import Iterable
from os import PathLike, fspath
from pathlib import Path
from types import ModuleType

from broker.errors import ConfigurationError, Mistake
from broker.executors.user_code import Handler

_FORM = 'is not of the form "package.module:function"'
_REMEDY = 'move it to the top level of a module that can be imported, and name it as "package.module:function"'


def load_callable(
    name: str, *, folders: Iterable[str | PathLike[str]] = (), path: str = "", place: str = ""
) -> Handler:
    """Imports the module and takes the attribute, which may be dotted (`shop.handlers:Orders.reserve`).

    `folders` are where modules may lie besides `sys.path`, the first having precedence: the folder of the file that
    names the callable, the working folder. They stay importable, since a handler may import more when it runs.
    `path` and `place` say where the name is written, for the message.

    Raises:
        ConfigurationError: the form, the module, its import or the attribute is wrong, or it cannot be called.
    """
    make_importable(folders)
    try:
        return _callable_of(_imported(name), name)
    except _Wrong as wrong:
        raise ConfigurationError([Mistake(message=str(wrong), path=path, place=place)]) from wrong.__cause__


def name_of(handler: Handler) -> str:
    """The name by which another process can import the callable.

    Raises:
        ConfigurationError: it has none: a lambda, a closure, a bound method, or part of the program that was started.
    """
    module, attribute = getattr(handler, "__module__", None), getattr(handler, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(attribute, str):
        raise ConfigurationError(f"{handler!r} has no name that another process could import: {_REMEDY}")
    if "<" in attribute:
        raise ConfigurationError(f"{attribute} exists only while its surroundings run: {_REMEDY}")
    if module == "__main__":
        raise ConfigurationError(f"{attribute} is part of the program that was started: {_REMEDY}")
    if _found(sys.modules.get(module), attribute) is not handler:
        raise ConfigurationError(f"{module}:{attribute} is not the callable that was given: {_REMEDY}")
    return f"{module}:{attribute}"


def make_importable(folders: Iterable[str | PathLike[str]]) -> None:
    """Puts the folders before everything else on `sys.path`, once, in this order."""
    known = set(sys.path)
    wanted = [str(Path(fspath(folder)).resolve()) for folder in folders]
    sys.path[:0] = [folder for folder in dict.fromkeys(wanted) if folder not in known]


class _Wrong(Exception):  # noqa: N818 - not an error until it has a place
    """What is wrong with a name, before it is known where the name is written."""


def _imported(name: str) -> ModuleType:
    module, separator, attribute = name.partition(":")
    if not separator or not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise _Wrong(f"{name!r} {_FORM}")
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise _Wrong(_not_found(name, error.name)) from error
        raise _Wrong(f"the import of {module!r} failed: {error}; install what is missing ({_where(error)})") from error
    except (Exception, SystemExit) as error:
        message = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise _Wrong(f"the import of {module!r} failed: {message} ({_where(error)})") from error


def _not_found(name: str, missing: str) -> str:
    here = Path.cwd()
    return f"{name!r}: there is no module {missing!r} in {here} or where Python looks for modules (sys.path)"


def _where(error: BaseException) -> str:
    """The last line of the user's code that was reached."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_machinery(frame.filename)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "in its own machinery"


def _is_machinery(filename: str) -> bool:
    return filename.startswith("<frozen importlib") or filename in {__file__, importlib.__file__}


def _callable_of(module: ModuleType, name: str) -> Handler:
    attribute = name.partition(":")[2]
    found = _found(module, attribute)
    if found is None:
        raise _Wrong(f"{name!r}: the module {module.__name__!r} ({_file(module)}) has no {attribute!r}")
    if not callable(found):
        raise _Wrong(f"{name!r} is {type(found).__name__}, not a function that can be called")
    if not _takes_event_and_context(found):
        raise _Wrong(f"{name!r} cannot be called as a handler is, with two arguments: (event, context)")
    return found


def _takes_event_and_context(function: Handler) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # some functions of other languages do not say what they take
        return True
    return True


def _found(module: ModuleType | None, attribute: str) -> object:
    found: object = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    return found


def _file(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or "no file"
