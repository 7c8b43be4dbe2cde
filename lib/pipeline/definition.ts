import { z } from 'zod';
import { type DataSchema, dataSchemaSchema } from '../collection/schema';
import { type Source, sourceSchema } from '../collection/source';
import { parse } from '../definitions/parse';
import { show } from '../definitions/definition-error';
import { type Cron, rules } from '../definitions/rules';
import { type Drift, driftSchema } from '../monitoring/drift';
import { type Retraining, retrainingSchema } from '../monitoring/retraining';
import { type Gate, gateSchema } from '../registry/gate';
import { type ServedModel, servedModelSchema } from '../serving/served-model';
import { type Trainer, trainerSchema } from '../training/trainer';

/** One model's life, from its data to its retraining. */
export interface PipelineProps {
  /** A DNS label of at most 40 characters, and the name of its folder: `trip-duration`. */
  readonly name: string;
  /** Who answers for it: a person or a team, with a way to reach them. */
  readonly owner: string;
  /**
   * What it predicts, for whoever finds it in Airflow or MLflow.
   * @default - nothing
   */
  readonly description?: string;
  /** Where a batch of data comes from. */
  readonly source: Source;
  /** When a batch is collected and a model trained on it. */
  readonly schedule: Cron;
  /** What a good batch is, and what the model makes of it. */
  readonly schema: DataSchema;
  /**
   * What a training step gets.
   * @default - half a core, 1Gi of memory, no GPU
   */
  readonly trainer?: Trainer;
  /** What a challenger must show before it becomes champion. */
  readonly gate: Gate;
  /**
   * How Triton serves the model.
   * @default - batches of up to 256, one instance
   */
  readonly serving?: ServedModel;
  /**
   * When the world has moved away from what the model was trained on.
   * @default - PSI above 0.2 within an hour
   */
  readonly drift?: Drift;
  /**
   * What starts a retraining besides the schedule.
   * @default - on drift, once a day at most
   */
  readonly retraining?: Retraining;
}

const schema = z.strictObject({
  name: rules.dnsLabel(40),
  owner: rules.line(200),
  description: rules.line(500).optional(),
  source: sourceSchema,
  schedule: rules.cron(),
  schema: dataSchemaSchema,
  trainer: trainerSchema.prefault({}),
  gate: gateSchema,
  serving: servedModelSchema.prefault({}),
  drift: driftSchema.prefault({}),
  retraining: retrainingSchema.prefault({}),
});

/** A pipeline whose every value is checked and whose defaults are filled in. */
export type PipelineDefinition = z.output<typeof schema>;

/**
 * Describes one model's life. `pipelines/<name>/pipeline.ts` exports what it returns.
 * @throws DefinitionErrors with every violation: its path, the value, and the way out.
 */
export function definePipeline(props: PipelineProps): PipelineDefinition {
  return parse(schema, props, `pipeline ${show((props as Partial<PipelineProps> | undefined)?.name)}`);
}
