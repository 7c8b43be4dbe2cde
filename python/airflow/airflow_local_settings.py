"""Imports that the scheduler does before it forks the processes of tasks, so that no task repeats them.

Airflow imports this module by its name. A task then starts and ends within moments instead of seconds. This
also keeps a deferred task from being resumed before its supervisor has seen the task's first process end.
"""

from airflow.providers.amazon.aws.hooks import s3
from airflow.providers.amazon.aws.log import s3_task_handler
from airflow.providers.cncf.kubernetes.operators import pod
from airflow.providers_manager import ProvidersManager
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

__all__ = ["pod", "s3", "s3_task_handler"]

ProvidersManager().initialize_providers_hooks()
ProvidersManagerTaskRuntime().initialize_providers_hooks()
