import { z } from 'zod';
import { filledIn } from '../definitions/filled-in';
import { rules } from '../definitions/rules';

/** A column and what a good value in it is. A row that breaks it is quarantined. */
export interface Column {
  /** What its values are. */
  readonly type: 'float' | 'int' | 'string' | 'bool' | 'datetime';
  /**
   * Whether a row may leave it empty.
   * @default false
   */
  readonly nullable?: boolean;
  /**
   * Smallest good value.
   * @default - any
   */
  readonly min?: number;
  /**
   * Largest good value.
   * @default - any
   */
  readonly max?: number;
}

/** What a model is asked with: Triton takes numbers. */
export interface Feature {
  /** What its values are. */
  readonly type: 'float' | 'int';
  /**
   * Smallest value the model was made for.
   * @default - any
   */
  readonly min?: number;
  /**
   * Largest value the model was made for.
   * @default - any
   */
  readonly max?: number;
}

/** What a good batch is, and what the model makes of it. */
export interface DataSchema {
  /** Columns of the batch as it is collected. Others are ignored. */
  readonly columns: Readonly<Record<string, Column>>;
  /** The datetime column by which rows are split into training and holdout. */
  readonly timestamp: string;
  /** What `features` in model.py returns, in the order in which the model is asked. */
  readonly features: Readonly<Record<string, Feature>>;
  /** What is predicted: the column that `features` returns beside the features. */
  readonly target: Feature & {
    /** Its name, unlike every feature's. */
    readonly name: string;
  };
  /**
   * Share of a batch's rows that may be quarantined before the run stops, 0 to 1.
   * @default 0.1
   */
  readonly maxQuarantined?: number;
  /**
   * The string column that says which request a row belongs to, where requests carry an id:
   * sampled predictions are then held against the labels that arrive later.
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
  .refine(({ features, target }) => noTwinsByCase([...Object.keys(features), target.name]), {
    path: ['features'],
    error: 'must not differ from one another only by case',
  });

/** Checked, with its defaults filled in. */
export type DataSchemaDefinition = z.output<typeof dataSchemaSchema>;

/** As the steps read it. */
export const dataSchemaSpecSchema = filledIn(dataSchemaSchema).extend({
  columns: rules.named(filledIn(column)),
  // A list: JSON objects promise no order, and the model is asked in this one.
  features: z.array(z.strictObject({ name: rules.identifier(), ...feature.shape })),
});

function inOrder({ min, max }: { min?: number; max?: number }): boolean {
  return min === undefined || max === undefined || min <= max;
}

function notEmpty(record: object): boolean {
  return Object.keys(record).length > 0;
}

function noTwinsByCase(names: string[]): boolean {
  return new Set(names.map((name) => name.toLowerCase())).size === names.length;
}
