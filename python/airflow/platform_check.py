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

from lifecycle.names import ENVIRONMENT

HERE = Path(__file__).parent
STEPS: dict[str, Any] = json.loads((HERE / "steps.json").read_text())


@dag(dag_id="platform_check", schedule=None, catchup=False, tags=["platform"], doc_md=__doc__)
def platform_check() -> None:
    """One task, one pod."""
    KubernetesPodOperator(
        task_id="check",
        name="platform-check",
        pod_template_dict=STEPS["pod"],
        cmds=["python3", "-c", (HERE / "check_step.py").read_text(), ENVIRONMENT.triton_http_url],
        container_resources=k8s.V1ResourceRequirements(
            requests={"cpu": "10m", "memory": "32Mi"}, limits={"memory": "128Mi"}
        ),
        # The template's `false` would be lost: only what is true is taken from it.
        automount_service_account_token=False,
        in_cluster=True,
        kubernetes_conn_id=None,
        # Not deferred, it is so short: resumed before its supervisor saw it end, it would be marked failed.
        deferrable=False,
        get_logs=True,
        do_xcom_push=False,
        startup_check_interval_seconds=1,
        on_finish_action="delete_pod",
        retries=1,
        retry_delay=timedelta(seconds=10),
        execution_timeout=timedelta(minutes=10),
    )


platform_check()
