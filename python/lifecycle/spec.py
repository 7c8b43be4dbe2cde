"""The pipeline spec, spec.json, as typed objects. contract/spec.schema.json is its JSON Schema.

The types are pydantic dataclasses, because a pydantic BaseModel cannot have a field `schema`. Only optional
fields have defaults: TypeScript writes all other values.
"""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

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
    # A later release may write keys that this one does not know.
    extra="ignore",
)

ColumnType = Literal["float", "int", "string", "bool", "datetime"]
Granularity = Literal["year", "month", "date", "hour"]


def _either(first: type, second: type) -> PlainValidator:
    """Validate that a value has one of two types, without converting it.

    The error names `first` only; pydantic's own union would report an error for each type.
    """

    def validated(value: Any) -> Any:
        # bool is a subclass of int in Python, but JSON's true is no number.
        if isinstance(value, bool) or not isinstance(value, (first, second)):
            raise PydanticCustomError("either", "of type {wanted}", {"wanted": first.__name__})
        return value

    return PlainValidator(validated)


Number = Annotated[float, _either(float, int), WithJsonSchema({"type": "number"})]
"""A float or an int, kept as written: 1 must not become 1.0, because the schema is hashed as JSON."""
Amount = Annotated[
    str | int, _either(str, int), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})
]
"""A Kubernetes quantity, as in `500m`, `2Gi` or 1."""


@dataclass(frozen=True, config=CONFIG)
class HttpSource:
    """One file for each period; `url` has a placeholder for the period."""

    url: str
    period: Granularity
    format: Literal["parquet", "csv"]
    months_until_published: int
    until: str | None = None
    """The last period that the source has; later ones do not exist."""
    type: Literal["http"] = "http"


@dataclass(frozen=True, config=CONFIG)
class S3Source:
    """The objects below a prefix of a bucket. Endpoint and credentials come from boto3's variables."""

    bucket: str
    prefix: str
    period: Granularity
    format: Literal["parquet", "csv"]
    months_until_published: int
    until: str | None = None
    type: Literal["s3"] = "s3"


@dataclass(frozen=True, config=CONFIG)
class SqlSource:
    """A query with the parameters `:start` and `:end`. The connection comes from environment variables."""

    query: str
    period: Granularity
    months_until_published: int
    until: str | None = None
    type: Literal["sql"] = "sql"


@dataclass(frozen=True, config=CONFIG)
class PythonSource:
    """The function `collect(start, end)` of the pipeline's model.py."""

    period: Granularity
    months_until_published: int
    until: str | None = None
    type: Literal["python"] = "python"


Source = HttpSource | S3Source | SqlSource | PythonSource
SOURCES: tuple[str, ...] = tuple(each.type for each in get_args(Source))
"""What a source may be."""


@dataclass(frozen=True, config=CONFIG)
class SecretKey:
    """Reference to a key of a Kubernetes Secret."""

    name: str
    key: str


@dataclass(frozen=True, config=CONFIG)
class ValueFrom:
    """The source of an environment variable's value, as in a Kubernetes EnvVar."""

    secret_key_ref: SecretKey


@dataclass(frozen=True, config=CONFIG)
class SecretVariable:
    """An environment variable of a container whose value is a key of a Secret."""

    name: str
    value_from: ValueFrom


@dataclass(frozen=True, config=CONFIG)
class Column:
    """A column of the raw batch: its type, and the range of its valid values."""

    type: ColumnType
    nullable: bool
    min: Number | None = None
    max: Number | None = None


@dataclass(frozen=True, config=CONFIG)
class Feature:
    """A feature or the target, with the range of its valid values."""

    name: str
    type: Literal["float", "int"]
    min: Number | None = None
    max: Number | None = None


@dataclass(frozen=True, config=CONFIG)
class Schema:
    """The columns of a raw batch, and the features and target that are computed from them."""

    columns: dict[str, Column]
    timestamp: str
    features: tuple[Feature, ...]
    target: Feature
    max_quarantined: Number
    """Largest share of a batch's rows that may be quarantined, 0 to 1."""
    request_id: str | None = None
    """The column with the request's id, by which labels are joined to sampled requests."""


@dataclass(frozen=True, config=CONFIG)
class Collection:
    """Stage 1: the source of batches and the bucket that stores them. Only the step `collect` gets `env`."""

    source: Annotated[Source, Field(discriminator="type")]
    schema: Schema
    bucket: str
    prefix: str
    env: tuple[SecretVariable, ...] | None = None


@dataclass(frozen=True, config=CONFIG)
class Resources:
    """Resource requests and limits of a container, as Kubernetes spells them."""

    requests: dict[str, Amount]
    limits: dict[str, Amount]


@dataclass(frozen=True, config=CONFIG)
class Toleration:
    """A toleration of a node's taint, as Kubernetes spells it."""

    key: str
    operator: str
    effect: str


@dataclass(frozen=True, config=CONFIG)
class Training:
    """Stage 2: the MLflow experiment, the time limit (as in `1h`) and the training pod's resources."""

    experiment: str
    timeout: str
    resources: Resources
    runtime_class_name: str | None = None
    node_selector: dict[str, str] | None = None
    tolerations: tuple[Toleration, ...] | None = None


@dataclass(frozen=True, config=CONFIG)
class Gate:
    """Conditions of a promotion: `margin` is a share of the champion's value, `limit` a metric value."""

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
    """Stage 4: the model repository, and how Triton serves the model."""

    model: str
    bucket: str
    prefix: str
    max_batch_size: int
    max_queue_delay_microseconds: int
    instances: int
    trace_one_in: int
    payload_retention: str
    """Time after which sampled requests are deleted, as in `90d`."""
    shadow: bool
    payloads: bool
    gpus: int


@dataclass(frozen=True, config=CONFIG)
class Retraining:
    """Whether drift starts a retraining, and the shortest time between two retrainings (as in `24h`)."""

    on_drift: bool
    cooldown: str


@dataclass(frozen=True, config=CONFIG)
class Monitoring:
    """Stage 5: retraining; intervals of the check for alerts (`every`) and of the report, as in `5m`."""

    retraining: Retraining
    every: str
    report_every: str


@dataclass(frozen=True, config=CONFIG)
class Steps:
    """Resources of all steps but `train`, and the pod template that all steps share."""

    resources: Resources
    pod: dict[str, Any]


def _known(version: str) -> str:
    """Reject a spec with another API version."""
    if version != API_VERSION:
        raise PydanticCustomError(
            "api_version",
            "{wanted}: synthesize the pipeline with this release, or deploy the platform of its own",
            {"wanted": json.dumps(API_VERSION)},
        )
    return version


@dataclass(frozen=True, config=CONFIG)
class Spec:
    """A pipeline's spec. `sha256` is the hash of the file that it was read from."""

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
            PermanentError: The file is missing or is not JSON, or a key is missing or has the wrong type.
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
        """Parse the bytes of a spec.json.

        Raises:
            ValueError: The text is not JSON, or a key is missing or has the wrong type. The message names the
                path of each such key.
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
"""Pydantic's error types, and the words for the expected type in our messages."""


def _problem(error: ErrorDetails) -> str:
    """Turn a pydantic error into a message with the path, the expected value and the value found."""
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
    """Format an error's location, as in `spec.collection.source.url`.

    Pydantic puts the tag of the union, the source's type, behind `source`; the path leaves it out.
    """
    path = "spec"
    for before, part in zip(("", *location), location, strict=False):
        if isinstance(part, int):
            path += f"[{part}]"
        elif before != "source":
            path += f".{part}"
    return path
