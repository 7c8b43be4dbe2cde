"""MLflow's own security middleware with the allow-lists of dist/: who is answered, who may read answers."""

import pytest
import yaml
from flask import Flask
from mlflow.server.security import init_security_middleware

from synthesized import DIST

SEARCH = "/ajax-api/2.0/mlflow/runs/search"
POD = "100.64.3.7"
LISTS = ("MLFLOW_SERVER_ALLOWED_HOSTS", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS")


def mlflow_of(environment: str, monkeypatch: pytest.MonkeyPatch, pod: str = POD) -> Flask:
    """Return an app behind the middleware, as MLflow's pod of an environment sets it up."""
    objects = yaml.load_all((DIST / environment / "30-training.yaml").read_text(), yaml.CSafeLoader)
    (server,) = [
        each for each in objects if each["kind"] == "Deployment" and each["metadata"]["name"] == "mlflow"
    ]
    (container,) = server["spec"]["template"]["spec"]["containers"]
    env = {variable["name"]: variable.get("value", "") for variable in container["env"]}
    for name in LISTS:
        monkeypatch.setenv(name, env[name].replace("$(POD_IP)", pod))
    app = Flask("mlflow")
    app.add_url_rule(SEARCH, view_func=lambda: "found", methods=["GET", "POST"])
    init_security_middleware(app)
    return app


def post(app: Flask, host: str, origin: str | None = None) -> int:
    headers = {"Host": host} if origin is None else {"Host": host, "Origin": origin}
    return app.test_client().post(SEARCH, headers=headers).status_code


def may_read(app: Flask, host: str, origin: str) -> bool:
    """Whether a browser shows the answer to a page of another origin."""
    answer = app.test_client().get(SEARCH, headers={"Host": host, "Origin": origin})
    return answer.headers.get("Access-Control-Allow-Origin") == origin


@pytest.fixture
def laptop(monkeypatch: pytest.MonkeyPatch) -> Flask:
    return mlflow_of("laptop", monkeypatch)


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> Flask:
    return mlflow_of("production", monkeypatch)


@pytest.mark.parametrize(
    "page",
    [
        "http://mlflow.mlops.localhost",
        "http://mlflow.mlops.localhost:8080",
        "https://mlflow.mlops.localhost",
        "https://mlflow.mlops.localhost:8443",
        "http://localhost",
        "http://localhost:5000",
        "http://127.0.0.1:15000",
        "http://[::1]",
        "http://[::1]:5000",
        "http://mlflow.mlops-platform:5000",
        "http://mlflow.mlops-platform.svc:5000",
        "http://mlflow.mlops-platform.svc.cluster.local:5000",
    ],
)
def test_a_page_may_change_something_where_it_was_opened(laptop: Flask, page: str) -> None:
    assert post(laptop, page.split("//")[1], page) == 200


@pytest.mark.parametrize(
    "page", ["https://mlflow.mlops.example.com", "https://mlflow.mlops.example.com:8443"]
)
def test_with_tls_the_page_has_an_https_origin(production: Flask, page: str) -> None:
    host = page.removeprefix("https://")
    assert post(production, host, page) == 200
    assert post(production, host, page.replace("https", "http")) == 403
    assert not may_read(production, host, page.replace("https", "http"))


@pytest.mark.parametrize("environment", [".", "laptop", "production"])
@pytest.mark.parametrize(
    "host",
    [
        "mlflow",
        "mlflow:5000",
        "mlflow.mlops-platform",
        "mlflow.mlops-platform:5000",
        "mlflow.mlops-platform.svc",
        "mlflow.mlops-platform.svc:5000",
        "mlflow.mlops-platform.svc.cluster.local",
        "mlflow.mlops-platform.svc.cluster.local:5000",
        "10.43.0.9:5000",
        "192.168.1.7:30500",
        f"{POD}:5000",
    ],
)
def test_a_program_may_use_any_name_of_the_service(
    monkeypatch: pytest.MonkeyPatch, environment: str, host: str
) -> None:
    assert post(mlflow_of(environment, monkeypatch), host) == 200


def test_prometheus_reaches_a_pod_by_its_ipv6_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert post(mlflow_of("laptop", monkeypatch, pod="fd00::7"), "[fd00::7]:5000") == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:5000",
        "mlflow.mlops.localhost.evil.example",
        "mlflow.evil.example",
        "mlflow.mlops-platform.svc.evil.example",
        "localhost.evil.example",
        "100.64.3.8:5000",
    ],
)
def test_another_host_is_refused(laptop: Flask, host: str) -> None:
    assert post(laptop, host) == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://airflow.mlops.localhost",
        "http://mlflow.mlops.localhost.evil.example",
        "http://mlflow.mlops.localhost.evil.example:8080",
        "http://mlflowxmlops.localhost:8080",
        "https://mlflow.mlops-platform.svc.cluster.local.evil.example",
        "http://10.0.0.1",
        "http://10.evil.example:8080",
        "null",
    ],
)
def test_another_site_may_neither_change_nor_read(laptop: Flask, origin: str) -> None:
    assert post(laptop, "mlflow.mlops.localhost", origin) == 403
    assert not may_read(laptop, "mlflow.mlops.localhost", origin)
