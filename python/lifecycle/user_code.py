"""Loads and calls the functions of a pipeline's model.py."""

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifecycle.exits import PermanentError, RetryableError
from lifecycle.names import COLLECT_FUNCTION, FEATURES_FUNCTION, TRAIN_FUNCTION

MODULE = "model"
"""The module name of model.py; pickles of classes defined in model.py refer to it."""


@dataclass(frozen=True)
class UserCode:
    """The functions that model.py defines; `sha256` is the hash of the file, `collect` is optional."""

    path: Path
    sha256: str
    features: Callable[..., Any]
    train: Callable[..., Any]
    collect: Callable[..., Any] | None

    @classmethod
    def load(cls, path: Path) -> "UserCode":
        """Import model.py.

        Raises:
            PermanentError: The file is missing, fails on import, or lacks `features` or `train`.
        """
        try:
            code = path.read_bytes()
        except OSError as error:
            raise PermanentError(f"there is no model to read: {error}") from error
        described = importlib.util.spec_from_file_location(MODULE, path)
        if described is None or described.loader is None:
            raise PermanentError(f"{path} is no Python file: its name must end in .py")
        module = importlib.util.module_from_spec(described)
        sys.modules[MODULE] = module
        try:
            described.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            # sys.exit in model.py must not end the step: its code would be taken for the step's exit code.
            raise PermanentError(f"{path} cannot be imported: {error_with_line(error, path)}") from error
        features, train, collect = (
            getattr(module, name, None) for name in (FEATURES_FUNCTION, TRAIN_FUNCTION, COLLECT_FUNCTION)
        )
        needed = {FEATURES_FUNCTION: features, TRAIN_FUNCTION: train}
        missing = [name for name, function in needed.items() if not callable(function)]
        if missing:
            raise PermanentError(
                f"{path} must define the function{'s' * (len(missing) > 1)} {' and '.join(missing)}"
            )
        sha256 = hashlib.sha256(code).hexdigest()
        return cls(path, sha256, features, train, collect)  # type: ignore[arg-type]

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of model.py and return its result.

        Raises:
            RetryableError: The function raised an OSError: a file or a server cannot be reached.
            PermanentError: The function raised another error or called sys.exit; the message names the line
                in model.py.
            MemoryError: The function ran out of memory.
        """
        name = getattr(function, "__name__", "the function")
        try:
            return function(*arguments)
        except OSError as error:
            raise RetryableError(
                f"{name} in {self.path} failed: {error_with_line(error, self.path)}"
            ) from error
        except MemoryError:
            # A retry, or more memory, may help: this is not a permanent error.
            raise
        except (Exception, SystemExit) as error:
            raise PermanentError(
                f"{name} in {self.path} failed: {error_with_line(error, self.path)}"
            ) from error


def error_with_line(error: BaseException, path: Path) -> str:
    """Format an error with its type and, if its traceback has any, the last line of the file `path`."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    return f"{type(error).__name__}: {error}" + (f" (line {line})" if line is not None else "")
