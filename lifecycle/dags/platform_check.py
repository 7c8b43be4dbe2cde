"""Does a step reach what it needs?

Started by hand, this runs one step pod as a model's steps run: in their
namespace, as their account, with their variables and behind their firewall.
It ends in success when MLflow takes its login and the object store and Triton
answer; its log says what did not.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import dag
from kubernetes.client import models as k8s

HERE = Path(__file__).parent
STEPS: dict[str, Any] = json.loads((HERE / "steps.json").read_text())


def variable(entry: dict[str, Any]) -> k8s.V1EnvVar:
    """One variable as `steps.json` spells it: a literal, or a key of a Secret."""
    if "value" in entry:
        return k8s.V1EnvVar(name=entry["name"], value=entry["value"])
    reference = entry["valueFrom"]["secretKeyRef"]
    key = k8s.V1SecretKeySelector(name=reference["name"], key=reference["key"])
    return k8s.V1EnvVar(name=entry["name"], value_from=k8s.V1EnvVarSource(secret_key_ref=key))


@dag(dag_id="platform_check", schedule=None, catchup=False, tags=["platform"], doc_md=__doc__)
def platform_check() -> None:
    """One task, one pod."""
    KubernetesPodOperator(
        task_id="check",
        name="platform-check",
        namespace=STEPS["namespace"],
        service_account_name=STEPS["serviceAccount"],
        automount_service_account_token=False,
        image=STEPS["image"],
        cmds=["python3", "-c", (HERE / "check_step.py").read_text()],
        env_vars=[variable(entry) for entry in STEPS["env"]],
        in_cluster=True,
        kubernetes_conn_id=None,
        # Not deferred, it is so short: resumed before its supervisor saw it end, it would be marked failed.
        deferrable=False,
        get_logs=True,
        do_xcom_push=False,
        startup_check_interval_seconds=1,
        on_finish_action="delete_succeeded_pod",
        retries=1,
        retry_delay=timedelta(seconds=10),
        execution_timeout=timedelta(minutes=10),
        container_resources=k8s.V1ResourceRequirements(
            requests={"cpu": "10m", "memory": "32Mi"}, limits={"memory": "128Mi"}
        ),
        security_context={
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        container_security_context={
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    )


platform_check()
