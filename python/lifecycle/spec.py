"""A pipeline as its spec.json says it, checked and typed. contract/spec.schema.json is what it is written by.

The models are dataclasses of pydantic, in whose own classes a field may not be called `schema`. No field but
an optional one has a default: TypeScript has written every value.
"""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails, PydanticCustomError

from lifecycle.exits import PermanentError
from lifecycle.names import API_VERSION

CONFIG = ConfigDict(
    strict=True,
    alias_generator=to_camel,
    populate_by_name=True,
    # A pipeline of a later release may say more.
    extra="ignore",
)

ColumnType = Literal["float", "int", "string", "bool", "datetime"]
Granularity = Literal["year", "month", "date", "hour"]


def _either(first: type, second: type) -> PlainValidator:
    """Take a value of two types as it is. A union of pydantic's would name both in each refusal."""

    def validated(value: Any) -> Any:
        # JSON's true is Python's 1.
        if isinstance(value, bool) or not isinstance(value, (first, second)):
            raise PydanticCustomError("either", "of type {wanted}", {"wanted": first.__name__})
        return value

    return PlainValidator(validated)


Number = Annotated[float, _either(float, int), WithJsonSchema({"type": "number"})]
"""A whole number stays one: a batch's schema is known by the hash of its text."""
Amount = Annotated[
    str | int, _either(str, int), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})
]
"""As Kubernetes spells it: `500m`, `2Gi`, 1."""


@dataclass(frozen=True, config=CONFIG)
class HttpSource:
    """A file for each period, behind an address that quotes the period."""

    url: str
    format: Literal["parquet", "csv"]
    months_until_published: int
    until: str | None = None
    """The newest period that there will ever be."""
    type: Literal["http"] = "http"


@dataclass(frozen=True, config=CONFIG)
class S3Source:
    """The objects below a prefix of an object store; the endpoint is the environment's."""

    bucket: str
    prefix: str
    format: Literal["parquet", "csv"]
    months_until_published: int
    until: str | None = None
    type: Literal["s3"] = "s3"


@dataclass(frozen=True, config=CONFIG)
class SqlSource:
    """A query with the bound parameters `:start` and `:end`; the connection is the environment's."""

    query: str
    period: Granularity
    months_until_published: int
    until: str | None = None
    type: Literal["sql"] = "sql"


@dataclass(frozen=True, config=CONFIG)
class PythonSource:
    """The owner's function `collect(start, end)` in model.py."""

    period: Granularity
    months_until_published: int
    until: str | None = None
    type: Literal["python"] = "python"


Source = HttpSource | S3Source | SqlSource | PythonSource
SOURCES = ("http", "s3", "sql", "python")


@dataclass(frozen=True, config=CONFIG)
class SecretKey:
    """A key of a Secret."""

    name: str
    key: str


@dataclass(frozen=True, config=CONFIG)
class ValueFrom:
    """Where Kubernetes takes a variable's value from."""

    secret_key_ref: SecretKey


@dataclass(frozen=True, config=CONFIG)
class SecretVariable:
    """A variable of a container whose value is a key of a Secret."""

    name: str
    value_from: ValueFrom


@dataclass(frozen=True, config=CONFIG)
class Column:
    """A column of the batch and what a good value in it is."""

    type: ColumnType
    nullable: bool
    min: Number | None = None
    max: Number | None = None


@dataclass(frozen=True, config=CONFIG)
class Feature:
    """A number that the model is asked with, or its target."""

    name: str
    type: Literal["float", "int"]
    min: Number | None = None
    max: Number | None = None


@dataclass(frozen=True, config=CONFIG)
class Schema:
    """What a good batch is, and what the model makes of it."""

    columns: dict[str, Column]
    timestamp: str
    features: tuple[Feature, ...]
    target: Feature
    max_quarantined: Number
    """Share of a batch's rows, 0 to 1."""
    request_id: str | None = None
    """The column that says which request a row belongs to, where labels are joined by it."""


@dataclass(frozen=True, config=CONFIG)
class Collection:
    """Stage 1: where batches come from and where they lie. `env` is for the step `collect` alone."""

    source: Annotated[Source, Field(discriminator="type")]
    schema: Schema
    bucket: str
    prefix: str
    env: tuple[SecretVariable, ...] | None = None


@dataclass(frozen=True, config=CONFIG)
class Resources:
    """What a container asks for, and what it may take, as Kubernetes spells it."""

    requests: dict[str, Amount]
    limits: dict[str, Amount]


@dataclass(frozen=True, config=CONFIG)
class Toleration:
    """Of a node's taint, as Kubernetes spells it."""

    key: str
    operator: str
    effect: str


@dataclass(frozen=True, config=CONFIG)
class Training:
    """Stage 2: where runs are tracked, how long one may take (as in `1h`), and what it gets."""

    experiment: str
    timeout: str
    resources: Resources
    runtime_class_name: str | None = None
    node_selector: dict[str, str] | None = None
    tolerations: tuple[Toleration, ...] | None = None


@dataclass(frozen=True, config=CONFIG)
class Gate:
    """What a challenger must show; `margin` is a share of the champion's value."""

    metric: str
    better: Literal["lower", "higher"]
    margin: Number
    limit: Number | None = None


@dataclass(frozen=True, config=CONFIG)
class Registry:
    """Stage 3: the registered model and its gate."""

    model: str
    gate: Gate


@dataclass(frozen=True, config=CONFIG)
class Serving:
    """Stage 4: how Triton serves the model, and from where."""

    model: str
    bucket: str
    prefix: str
    max_batch_size: int
    max_queue_delay_microseconds: int
    instances: int
    trace_one_in: int
    payload_retention: str
    """How long sampled requests are kept, as in `90d`."""
    shadow: bool
    payloads: bool
    gpus: int


@dataclass(frozen=True, config=CONFIG)
class Retraining:
    """Whether drift retrains, and how long nothing follows after (as in `24h`)."""

    on_drift: bool
    cooldown: str


@dataclass(frozen=True, config=CONFIG)
class Monitoring:
    """Stage 5: what follows when a served model has drifted, and how often that is looked at (as in `5m`)."""

    retraining: Retraining
    every: str
    report_every: str


@dataclass(frozen=True, config=CONFIG)
class Steps:
    """What all steps but `train` get, and the manifest that their pods have in common."""

    resources: Resources
    pod: dict[str, Any]


def _known(version: str) -> str:
    """Refuse the spec of another API version."""
    if version != API_VERSION:
        raise PydanticCustomError(
            "api_version",
            "{wanted}: synthesize the pipeline with this release, or deploy the platform of its own",
            {"wanted": json.dumps(API_VERSION)},
        )
    return version


@dataclass(frozen=True, config=CONFIG)
class Spec:
    """A pipeline. `sha256` is that of the file it was read from."""

    api_version: Annotated[
        str, AfterValidator(_known), WithJsonSchema({"type": "string", "const": API_VERSION})
    ]
    name: str
    owner: str
    schedule: str
    collection: Collection
    training: Training
    registry: Registry
    serving: Serving
    monitoring: Monitoring
    steps: Steps
    description: str | None = None
    sha256: Annotated[str, Field(exclude=True)] = ""

    @classmethod
    def load(cls, path: Path) -> "Spec":
        """Read a spec.json.

        Raises:
            PermanentError: There is no such file, it is no JSON, or a key is missing or of the wrong type.
        """
        try:
            text = path.read_bytes()
            json.loads(text)
        except (OSError, ValueError) as error:
            raise PermanentError(f"{path} is no readable spec: {error}") from error
        try:
            return cls.parse(text)
        except ValueError as error:
            raise PermanentError(str(error)) from error

    @classmethod
    def parse(cls, text: bytes) -> "Spec":
        """Read what a spec.json holds.

        Raises:
            ValueError: It is no JSON, or a key is missing or of the wrong type; each is named by its path.
        """
        try:
            return replace(SPEC.validate_json(text), sha256=hashlib.sha256(text).hexdigest())
        except ValidationError as error:
            raise ValueError("; ".join(map(_problem, error.errors()))) from error


SPEC = TypeAdapter(Spec)


WANTED = {
    "string_type": "of type str",
    "int_type": "of type int",
    "int_from_float": "of type int",
    "bool_type": "of type bool",
    "dict_type": "an object",
    "dataclass_type": "an object",
    "tuple_type": "a list",
}
"""What pydantic's findings ask for."""


def _problem(error: ErrorDetails) -> str:
    """A finding of pydantic's as a refusal of ours: the path, what is wanted, and what there is."""
    kind, path, found = error["type"], _path(error["loc"]), error["input"]
    if kind == "missing":
        return f"{path} is missing; there are {', '.join(sorted(found)) or 'no keys'}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return f"{path}.type must be one of {', '.join(SOURCES)}, got {json.dumps(found.get('type'))}"
    if kind == "literal_error":
        literals = re.findall("'([^']*)'", error["ctx"]["expected"])
        wanted = f"one of {', '.join(literals)}"
    else:
        wanted = WANTED.get(kind, error["msg"])
    return f"{path} must be {wanted}, got {json.dumps(found)}"


def _path(location: tuple[int | str, ...]) -> str:
    """`spec.collection.source.url`; pydantic also names the type of the source."""
    path = "spec"
    for before, part in zip(("", *location), location, strict=False):
        if isinstance(part, int):
            path += f"[{part}]"
        elif before != "source":
            path += f".{part}"
    return path
