/**
 * Metrics of Triton. Durations are counters in microseconds, by model and version. `…_summary_us` needs
 * `--metrics-config=summary_latencies=true`. Those of GPUs exist only where Triton has a GPU.
 */
export const TRITON_METRICS = [
  'nv_cpu_memory_used_bytes',
  'nv_cpu_utilization',
  'nv_energy_consumption',
  'nv_gpu_memory_total_bytes',
  'nv_gpu_memory_used_bytes',
  'nv_gpu_power_limit',
  'nv_gpu_power_usage',
  'nv_gpu_utilization',
  'nv_inference_compute_infer_duration_us',
  'nv_inference_compute_input_duration_us',
  'nv_inference_compute_output_duration_us',
  'nv_inference_count',
  'nv_inference_exec_count',
  'nv_inference_pending_request_count',
  'nv_inference_queue_duration_us',
  'nv_inference_request_duration_us',
  'nv_inference_request_failure',
  'nv_inference_request_success',
  'nv_inference_request_summary_us',
] as const;
