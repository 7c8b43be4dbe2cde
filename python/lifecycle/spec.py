"""A pipeline as its spec.json says it, checked and typed."""

import hashlib
import json
import types
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from lifecycle.exits import PermanentError

ColumnType = Literal["float", "int", "string", "bool", "datetime"]
Granularity = Literal["year", "month", "date", "hour"]
T = TypeVar("T")


@dataclass(frozen=True)
class HttpSource:
    """A file for each period, behind an address that quotes the period."""

    url: str
    format: Literal["parquet", "csv"] = "parquet"
    months_until_published: int = 0
    until: str | None = None
    """The newest period that there will ever be."""


@dataclass(frozen=True)
class S3Source:
    """The objects below a prefix of an object store; the endpoint is the environment's."""

    bucket: str
    prefix: str
    format: Literal["parquet", "csv"] = "parquet"
    months_until_published: int = 0
    until: str | None = None


@dataclass(frozen=True)
class SqlSource:
    """A query with the bound parameters `:start` and `:end`; the connection is the environment's."""

    query: str
    period: Granularity
    months_until_published: int = 0
    until: str | None = None


@dataclass(frozen=True)
class PythonSource:
    """The owner's function `collect(start, end)` in model.py."""

    period: Granularity
    months_until_published: int = 0
    until: str | None = None


Source = HttpSource | S3Source | SqlSource | PythonSource
SOURCES: dict[str, type[Source]] = {
    "http": HttpSource,
    "s3": S3Source,
    "sql": SqlSource,
    "python": PythonSource,
}


@dataclass(frozen=True)
class Column:
    """A column of the batch and what a good value in it is."""

    type: ColumnType
    nullable: bool = False
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Feature:
    """A number that the model is asked with, or its target."""

    name: str
    type: Literal["float", "int"]
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Schema:
    """What a good batch is, and what the model makes of it."""

    columns: dict[str, Column]
    timestamp: str
    features: tuple[Feature, ...]
    target: Feature
    max_quarantined: float = 0.1
    """Share of a batch's rows, 0 to 1."""
    request_id: str | None = None
    """The column that says which request a row belongs to, where labels are joined by it."""


@dataclass(frozen=True)
class Collection:
    """Stage 1: where batches come from and where they lie."""

    source: Source
    schema: Schema
    bucket: str
    prefix: str


@dataclass(frozen=True)
class Training:
    """Stage 2: where runs are tracked and how long one may take (as in `1h`)."""

    experiment: str
    timeout: str


@dataclass(frozen=True)
class Aliases:
    """Names of MLflow's aliases."""

    champion: str
    challenger: str
    previous: str


@dataclass(frozen=True)
class Gate:
    """What a challenger must show; `margin` is a share of the champion's value."""

    metric: str
    better: Literal["lower", "higher"]
    margin: float = 0.01
    limit: float | None = None


@dataclass(frozen=True)
class Registry:
    """Stage 3: the registered model and its gate."""

    model: str
    aliases: Aliases
    gate: Gate


@dataclass(frozen=True)
class Serving:
    """Stage 4: how Triton serves the model, and from where."""

    model: str
    bucket: str
    prefix: str
    max_batch_size: int
    max_queue_delay_microseconds: int
    instances: int
    trace_one_in: int
    shadow: bool = False
    payloads: bool = False
    gpus: int = 0


@dataclass(frozen=True)
class Drift:
    """From which PSI on, over which time (as in `1h`) and how many rows, a feature has drifted."""

    threshold: float
    window: str
    min_samples: int


@dataclass(frozen=True)
class Retraining:
    """Whether drift retrains, and how long nothing follows after (as in `24h`)."""

    on_drift: bool
    cooldown: str


@dataclass(frozen=True)
class Monitoring:
    """Stage 5: when a served model has drifted, and what follows."""

    drift: Drift
    retraining: Retraining


@dataclass(frozen=True)
class Spec:
    """A pipeline. `sha256` is that of the file it was read from."""

    name: str
    owner: str
    collection: Collection
    training: Training
    registry: Registry
    serving: Serving
    monitoring: Monitoring
    sha256: str = ""

    @classmethod
    def load(cls, path: Path) -> "Spec":
        """Read a spec.json.

        Raises:
            PermanentError: There is no such file, it is no JSON, or a key is missing or of the wrong type.
        """
        try:
            text = path.read_bytes()
            raw = json.loads(text)
        except (OSError, ValueError) as error:
            raise PermanentError(f"{path} is no readable spec: {error}") from error
        return build(cls, {**json_object(raw, "spec"), "sha256": hashlib.sha256(text).hexdigest()}, "spec")


def build(kind: type[T], raw: Any, path: str) -> T:
    """Make a dataclass of JSON; keys that it does not know are ignored."""
    found = json_object(raw, path)
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for each in fields(cast(Any, kind)):
        key = camel(each.name)
        if key in found:
            values[each.name] = value(hints[each.name], found[key], f"{path}.{key}")
        elif required(each):
            raise PermanentError(
                f"{path}.{key} is missing; there are {', '.join(sorted(found)) or 'no keys'}"
            )
    return kind(**values)


def value(hint: Any, raw: Any, path: str) -> Any:
    """Make one value of JSON what `hint` says it is."""
    if hint == Source:
        return source(raw, path)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return None if raw is None else value(arguments[0], raw, path)
    if origin is Literal:
        return checked(raw in arguments, raw, path, f"one of {', '.join(arguments)}")
    if origin is dict:
        pairs = json_object(raw, path).items()
        return {name: value(arguments[1], each, f"{path}.{name}") for name, each in pairs}
    if origin is tuple:
        checked(isinstance(raw, list), raw, path, "a list")
        return tuple(value(arguments[0], each, f"{path}[{index}]") for index, each in enumerate(raw))
    if is_dataclass(hint):
        return build(cast(type[Any], hint), raw, path)
    # JSON's true is Python's 1, and a whole number is as good a float.
    accepted = (int, float) if hint is float else hint
    good = isinstance(raw, accepted) and isinstance(raw, bool) == (hint is bool)
    return checked(good, raw, path, f"of type {hint.__name__}")


def source(raw: Any, path: str) -> Source:
    """Make a source of JSON by its `type`."""
    kind = SOURCES.get(str(json_object(raw, path).get("type")))
    if kind is None:
        raise PermanentError(
            f"{path}.type must be one of {', '.join(SOURCES)}, got {json.dumps(raw.get('type'))}"
        )
    return build(kind, raw, path)


def json_object(raw: Any, path: str) -> dict[str, Any]:
    """Return `raw` where it is a JSON object."""
    return cast(dict[str, Any], checked(isinstance(raw, dict), raw, path, "an object"))


def checked(good: bool, raw: Any, path: str, wanted: str) -> Any:
    """Return `raw` where it is good."""
    if not good:
        raise PermanentError(f"{path} must be {wanted}, got {json.dumps(raw)}")
    return raw


def required(field: Field[Any]) -> bool:
    """Whether a field has no default."""
    return field.default is MISSING and field.default_factory is MISSING


def camel(name: str) -> str:
    """The key in JSON of an attribute in Python."""
    first, *rest = name.split("_")
    return first + "".join(each.capitalize() for each in rest)
