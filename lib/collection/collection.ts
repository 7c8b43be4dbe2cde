import { Construct } from 'constructs';
import type { DataSchemaDefinition } from './schema';
import type { SourceDefinition } from './source';

export interface CollectionProps {
  readonly name: string;
  readonly source: SourceDefinition;
  readonly schema: DataSchemaDefinition;
  /** Bucket that holds every pipeline's data. */
  readonly bucket: string;
}

/** Stage 1: where a batch comes from, what a good one is, and where it is kept. */
export class Collection extends Construct {
  /** Read by the steps `collect` and `preprocess`. */
  readonly spec;

  constructor(scope: Construct, id: string, props: CollectionProps) {
    super(scope, id);
    this.spec = {
      source: props.source,
      schema: {
        ...props.schema,
        // A list: JSON objects promise no order, and the model is asked in this one.
        features: Object.entries(props.schema.features).map(([name, feature]) => ({ name, ...feature })),
      },
      bucket: props.bucket,
      prefix: `${props.name}/`,
    };
  }
}
