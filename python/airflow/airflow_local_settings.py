"""Imported by the scheduler before it forks the processes that run tasks: what each task would import again.

A step's task begins and ends in moments instead of seconds, which also keeps a deferred step from
being resumed before its supervisor saw the first process end.
"""

from airflow.providers.amazon.aws.hooks import s3
from airflow.providers.amazon.aws.log import s3_task_handler
from airflow.providers.cncf.kubernetes.operators import pod
from airflow.providers_manager import ProvidersManager
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

__all__ = ["pod", "s3", "s3_task_handler"]

ProvidersManager().initialize_providers_hooks()
ProvidersManagerTaskRuntime().initialize_providers_hooks()
