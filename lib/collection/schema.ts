import { z } from 'zod';
import { filledIn } from '../definitions/filled-in';
import { rules } from '../definitions/rules';

/** A column of a collected batch and its valid values. A row with an invalid value is quarantined. */
export interface Column {
  /** Type of the values. */
  readonly type: 'float' | 'int' | 'string' | 'bool' | 'datetime';
  /**
   * Whether a value may be missing.
   * @default false
   */
  readonly nullable?: boolean;
  /**
   * Smallest valid value, for `float` and `int` alone.
   * @default - no lower bound
   */
  readonly min?: number;
  /**
   * Largest valid value, for `float` and `int` alone.
   * @default - no upper bound
   */
  readonly max?: number;
}

/** A feature: a number of the model's input. `preprocess` drops rows with a value out of bounds. */
export interface Feature {
  /** Type of the values. The model gets either as float32. */
  readonly type: 'float' | 'int';
  /**
   * Smallest valid value.
   * @default - no lower bound
   */
  readonly min?: number;
  /**
   * Largest valid value.
   * @default - no upper bound
   */
  readonly max?: number;
}

/** The columns of a batch, and the features and the target that are made of them. */
export interface DataSchema {
  /** Columns of the batch as it is collected, by name. Other columns are ignored. */
  readonly columns: Readonly<Record<string, Column>>;
  /** The datetime column by which rows are split: the oldest are for training, the newest are the holdout. */
  readonly timestamp: string;
  /** The features that `features` in model.py returns, by name, in the order of the model's input. */
  readonly features: Readonly<Record<string, Feature>>;
  /** The value that is predicted: a column that `features` in model.py returns beside the features. */
  readonly target: Feature & {
    /** Name of the column. No feature may have it, nor one that differs only by case. */
    readonly name: string;
  };
  /**
   * Largest share of a batch's rows that may be quarantined, 0 to 1. Above it the run stops with a permanent error. The
   * same limit holds for the rows that `preprocess` drops.
   * @default 0.1
   */
  readonly maxQuarantined?: number;
  /**
   * The column, of type `string`, with the id of the inference request that a row belongs to. With it, `monitor`
   * compares sampled predictions with the labels that arrive later.
   * @default - none
   */
  readonly requestId?: string;
}

const bounds = { min: rules.finite().optional(), max: rules.finite().optional() };
const ordered = { path: ['min'], error: 'must not be above max' };

const column = z
  .strictObject({
    type: z.enum(['float', 'int', 'string', 'bool', 'datetime']),
    nullable: z.boolean().default(false),
    ...bounds,
  })
  .refine(inOrder, ordered)
  .refine(
    ({ type, min, max }) => ['float', 'int'].includes(type) || (min === undefined && max === undefined),
    {
      path: ['type'],
      error: 'must be float or int to have a min or max',
    },
  );

const feature = z.strictObject({ type: z.enum(['float', 'int']), ...bounds }).refine(inOrder, ordered);

export const dataSchemaSchema = z
  .strictObject({
    columns: rules.named(column).refine(notEmpty, 'must name at least one column'),
    timestamp: rules.identifier(),
    features: rules.named(feature).refine(notEmpty, 'must name at least one feature'),
    target: z
      .strictObject({ name: rules.identifier(), type: z.enum(['float', 'int']), ...bounds })
      .refine(inOrder, ordered),
    maxQuarantined: rules.between(0, 1).default(0.1),
    requestId: rules.identifier().optional(),
  })
  .refine(({ columns, requestId }) => requestId === undefined || columns[requestId]?.type === 'string', {
    path: ['requestId'],
    error: 'must name one of the columns, of type string',
  })
  .refine(({ columns, timestamp }) => columns[timestamp]?.type === 'datetime', {
    path: ['timestamp'],
    error: 'must name one of the columns, of type datetime',
  })
  .refine(({ features, target }) => !Object.hasOwn(features, target.name), {
    path: ['target', 'name'],
    error: 'must not be a feature too: the model would be told the answer',
  })
  .refine(({ features, target }) => differByMoreThanCase([...Object.keys(features), target.name]), {
    path: ['features'],
    error: 'must not differ from one another only by case',
  });

/** Checked, with its defaults filled in. */
export type DataSchemaDefinition = z.output<typeof dataSchemaSchema>;

/** Schema of a data schema in spec.json. */
export const dataSchemaSpecSchema = filledIn(dataSchemaSchema).extend({
  columns: rules.named(filledIn(column)),
  // A list, because keys of a JSON object have no order, and the model's input has this one.
  features: z.array(z.strictObject({ name: rules.identifier(), ...feature.shape })),
});

function inOrder({ min, max }: { min?: number; max?: number }): boolean {
  return min === undefined || max === undefined || min <= max;
}

function notEmpty(record: object): boolean {
  return Object.keys(record).length > 0;
}

function differByMoreThanCase(names: string[]): boolean {
  return new Set(names.map((name) => name.toLowerCase())).size === names.length;
}
