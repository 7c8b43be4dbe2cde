import { Construct } from 'constructs';
import { z } from 'zod';
import { NetworkPolicy } from '../kubernetes/network-policy';
import { ENVIRONMENT, LABELS, STEPS } from '../definitions/names';
import { SecretRef } from '../definitions/secret-ref';
import { type DataSchemaDefinition, dataSchemaSpecSchema } from './schema';
import { type SourceDefinition, sourceSpec, sourceSpecSchema, type SqlSource } from './source';

export interface DataCollectionProps {
  /** Name of the pipeline. */
  readonly name: string;
  readonly source: SourceDefinition;
  readonly schema: DataSchemaDefinition;
  /** Bucket that holds every pipeline's data. */
  readonly bucket: string;
  /** Namespace of the step pods. */
  readonly namespace: string;
}

/** An environment variable from a key of a Secret, as a container's `env` has it. */
const secretVariable = z.strictObject({
  name: z.string(),
  valueFrom: z.strictObject({ secretKeyRef: z.strictObject({ name: z.string(), key: z.string() }) }),
});

/** Schema of the part of spec.json that this stage writes. */
export const collectionSpecSchema = z.strictObject({
  source: sourceSpecSchema,
  /** Environment variables of the step `collect` alone. */
  env: z.array(secretVariable).optional(),
  schema: dataSchemaSpecSchema,
  bucket: z.string(),
  prefix: z.string(),
});

/**
 * Stage 1: the source of a batch, the schema that checks it, and the bucket that keeps it. For a source in a database
 * it also opens the database's port to the step `collect`.
 */
export class DataCollection extends Construct {
  /** Read by the steps `collect` and `preprocess`. */
  readonly spec: z.output<typeof collectionSpecSchema>;

  constructor(scope: Construct, id: string, props: DataCollectionProps) {
    super(scope, id);
    const { source } = props;
    this.spec = {
      source: sourceSpec(source, props.bucket),
      env: source.type === 'sql' ? [databaseUrl(source)] : undefined,
      schema: {
        ...props.schema,
        features: Object.entries(props.schema.features).map(([name, feature]) => ({ name, ...feature })),
      },
      bucket: props.bucket,
      prefix: `${props.name}/`,
    };
    if (source.type === 'sql') {
      new NetworkPolicy(this, 'network-policy', {
        name: `collect-${props.name}`,
        namespace: props.namespace,
        pods: { [LABELS.pipeline]: props.name, [LABELS.step]: STEPS.run.collect },
      }).allowToOutside(source.port);
    }
  }
}

function databaseUrl({ secretName }: SqlSource): z.output<typeof secretVariable> {
  const { secret, key } = SecretRef.external(secretName, ['url']).key('url');
  return { name: ENVIRONMENT.sourceDatabaseUrl, valueFrom: { secretKeyRef: { name: secret.name, key } } };
}
