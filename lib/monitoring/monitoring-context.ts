import type { Accelerator } from '../definitions/accelerator';
import type { Secrets } from '../foundation/secrets';
import type { IngressSettings } from '../kubernetes/ingress';
import type { Observability } from '../observability/observability';

/** What the module monitoring gets of the environment and of the other modules. */
export interface MonitoringContext {
  readonly secrets: Secrets;
  readonly observability: Observability;
  readonly ingress: IngressSettings;
  /** The GPUs of the cluster's nodes, or none. */
  readonly accelerator: Accelerator;
  /** @default - the cluster's default storage class */
  readonly storageClass?: string;
}
