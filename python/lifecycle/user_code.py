"""The owner's side of a pipeline: the functions in model.py."""

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
"""The name by which model.py is imported, and by which a pickled model finds its own classes again."""


@dataclass(frozen=True)
class UserCode:
    """What model.py defines; `sha256` is that of the file."""

    path: Path
    sha256: str
    features: Callable[..., Any]
    train: Callable[..., Any]
    collect: Callable[..., Any] | None

    @classmethod
    def load(cls, path: Path) -> "UserCode":
        """Import model.py.

        Raises:
            PermanentError: It is not there, does not run, or lacks `features` or `train`.
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
            # An exit code is the step's to say: the owner's own would pass for it.
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
        """Call one of the owner's functions.

        Raises:
            RetryableError: It ended in an OSError: a file or a server is away.
            PermanentError: It ended in any other error, or with an exit; the message names the line in
                model.py.
        """
        name = getattr(function, "__name__", "the function")
        try:
            return function(*arguments)
        except OSError as error:
            raise RetryableError(
                f"{name} in {self.path} failed: {error_with_line(error, self.path)}"
            ) from error
        except MemoryError:
            # More memory may help, another try may: not the owner's mistake alone.
            raise
        except (Exception, SystemExit) as error:
            raise PermanentError(
                f"{name} in {self.path} failed: {error_with_line(error, self.path)}"
            ) from error


def error_with_line(error: BaseException, path: Path) -> str:
    """An error with the last line of model.py on its way."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    return f"{type(error).__name__}: {error}" + (f" (line {line})" if line is not None else "")
