/** Metrics of kube-state-metrics 2.20 that the platform uses. */
export const KUBE_STATE_METRICS = [
  'kube_daemonset_status_number_unavailable',
  'kube_deployment_spec_replicas',
  'kube_deployment_status_replicas_available',
  'kube_job_complete',
  'kube_job_failed',
  'kube_persistentvolumeclaim_resource_requests_storage_bytes',
  'kube_persistentvolumeclaim_status_phase',
  'kube_pod_container_resource_requests',
  'kube_pod_container_status_last_terminated_reason',
  'kube_pod_container_status_restarts_total',
  'kube_pod_container_status_terminated_reason',
  'kube_pod_container_status_waiting_reason',
  'kube_pod_status_phase',
  'kube_pod_status_ready',
  'kube_statefulset_replicas',
  'kube_statefulset_status_replicas_ready',
] as const;

/** Metrics of node-exporter 1.12 on Linux that the platform uses. */
export const NODE_METRICS = [
  'node_cpu_seconds_total',
  'node_disk_io_time_seconds_total',
  'node_filesystem_avail_bytes',
  'node_filesystem_size_bytes',
  'node_load1',
  'node_memory_MemAvailable_bytes',
  'node_memory_MemTotal_bytes',
  'node_network_receive_bytes_total',
  'node_network_transmit_bytes_total',
] as const;

/** Metrics of dcgm-exporter, with its default counters, that the platform uses. */
export const GPU_METRICS = [
  'DCGM_FI_DEV_FB_FREE',
  'DCGM_FI_DEV_FB_USED',
  'DCGM_FI_DEV_GPU_TEMP',
  'DCGM_FI_DEV_GPU_UTIL',
  'DCGM_FI_DEV_POWER_USAGE',
  'DCGM_FI_DEV_XID_ERRORS',
] as const;
