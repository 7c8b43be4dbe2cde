import { Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import { OWNERSHIP_LABELS } from './labels';
import { PLATFORM_NAMESPACE } from './namespaces';

export interface ManifestFileProps {
  /** Name of the file in `dist/`, without its ending. `kubectl apply` takes the files in the order of their names. */
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
