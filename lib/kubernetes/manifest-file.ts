import { Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import { PLATFORM_NAMESPACE } from './namespaces';

/** Labels that say which platform an object belongs to. Never part of a selector. */
export const OWNERSHIP_LABELS = {
  'app.kubernetes.io/managed-by': 'mlops-lifecycle',
  'app.kubernetes.io/part-of': 'mlops-platform',
} as const;

export interface ManifestFileProps {
  /** Name of the file in `dist/`, without its ending. Its number is its place in `kubectl apply`. */
  readonly file: string;

  /**
   * Namespace of the file's objects.
   * @default mlops-platform
   */
  readonly namespace?: string;
}

/** One file of `dist/`: a cdk8s Chart whose objects are written into it. */
export class ManifestFile extends Chart {
  readonly file: string;

  constructor(scope: Construct, id: string, props: ManifestFileProps) {
    super(scope, id, {
      disableResourceNameHashes: true,
      labels: { ...OWNERSHIP_LABELS },
      namespace: props.namespace ?? PLATFORM_NAMESPACE,
    });
    this.file = props.file;
  }
}
