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

/** One model: where its data comes from, and how it is trained, checked, served and watched. */
export interface PipelineProps {
  /** Name of the model: a DNS label of at most 40 characters, equal to the name of its folder: `trip-duration`. */
  readonly name: string;
  /** The person or team that is responsible for the model, with a way to reach them. At most 200 characters. */
  readonly owner: string;
  /**
   * What the model predicts, as Airflow shows it. One line of at most 500 characters.
   * @default - none
   */
  readonly description?: string;
  /** Where a batch of data comes from. */
  readonly source: Source;
  /** When a run starts, which collects a batch and trains a new version on it. */
  readonly schedule: Cron;
  /** The columns of a batch, and the features and the target that are made of them. */
  readonly schema: DataSchema;
  /**
   * Resources and time limit of the training step.
   * @default - half a core, 1Gi to 2Gi of memory, no GPU, one hour
   */
  readonly trainer?: Trainer;
  /** What a new version must reach before it replaces the one that serves. */
  readonly gate: Gate;
  /**
   * How Triton serves the model.
   * @default - batches of up to 256, one instance
   */
  readonly serving?: ServedModel;
  /**
   * When live requests count as drifted from the training data.
   * @default - PSI above 0.2 within an hour
   */
  readonly drift?: Drift;
  /**
   * What starts a retraining besides the schedule.
   * @default - drift, at most once a day
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

/** A pipeline whose values are checked and whose defaults are filled in. */
export type PipelineDefinition = z.output<typeof schema>;

/**
 * Checks a pipeline and fills in its defaults. `pipelines/<name>/pipeline.ts` exports the result as `pipeline`.
 * @throws DefinitionErrors with every fault: its path, the value received, and what is allowed.
 */
export function definePipeline(props: PipelineProps): PipelineDefinition {
  return parse(schema, props, `pipeline ${show((props as Partial<PipelineProps> | undefined)?.name)}`);
}
