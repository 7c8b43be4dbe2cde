"""Checks that a step's pod reaches the servers that steps need.

The DAG is started by hand. It runs one pod as the steps of a pipeline run: in their namespace, with their
service account, variables and network policy. It succeeds if MLflow accepts the login and the object store
and Triton answer; otherwise the log names the server that does not.
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
    """Run check_step.py in one pod."""
    KubernetesPodOperator(
        task_id="check",
        name="platform-check",
        pod_template_dict=STEPS["pod"],
        cmds=["python3", "-c", (HERE / "check_step.py").read_text(), ENVIRONMENT.triton_http_url],
        container_resources=k8s.V1ResourceRequirements(
            requests={"cpu": "10m", "memory": "32Mi"}, limits={"memory": "128Mi"}
        ),
        # Set again here: when the operator merges the pod template, it drops values that are false.
        automount_service_account_token=False,
        in_cluster=True,
        kubernetes_conn_id=None,
        # Not deferrable, because the pod is so short: the task could be resumed before its supervisor has
        # seen the first process end, and Airflow would mark it as failed.
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
