import { Construct } from 'constructs';
import { NetworkPolicy } from '../kubernetes/network-policy';
import { envVars } from '../kubernetes/pod-defaults';
import { type SecretKey, SecretRef } from '../definitions/secret-ref';
import type { DataSchemaDefinition } from './schema';
import type { SourceDefinition, SqlSource } from './source';

export interface DataCollectionProps {
  readonly name: string;
  readonly source: SourceDefinition;
  readonly schema: DataSchemaDefinition;
  /** Bucket that holds every pipeline's data. */
  readonly bucket: string;
  /** Where the step `collect` runs. */
  readonly namespace: string;
}

/** Stage 1: where a batch comes from, what a good one is, and where it is kept. */
export class DataCollection extends Construct {
  /** Read by the steps `collect` and `preprocess`. */
  readonly spec;

  constructor(scope: Construct, id: string, props: DataCollectionProps) {
    super(scope, id);
    const { source } = props;
    this.spec = {
      source: source.type === 's3' ? { ...source, bucket: props.bucket } : source,
      // For the step `collect` alone.
      env: source.type === 'sql' ? envVars({ SOURCE_DATABASE_URL: databaseUrl(source) }) : undefined,
      schema: {
        ...props.schema,
        // A list: JSON objects promise no order, and the model is asked in this one.
        features: Object.entries(props.schema.features).map(([name, feature]) => ({ name, ...feature })),
      },
      bucket: props.bucket,
      prefix: `${props.name}/`,
    };
    if (source.type === 'sql') {
      new NetworkPolicy(this, 'network-policy', {
        name: `collect-${props.name}`,
        namespace: props.namespace,
        pods: { 'mlops-lifecycle/pipeline': props.name, 'mlops-lifecycle/step': 'collect' },
      }).allowToOutside(source.port);
    }
  }
}

function databaseUrl(source: SqlSource): SecretKey {
  return SecretRef.external(source.secretName, ['url']).key('url');
}
