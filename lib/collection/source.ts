import { z } from 'zod';
import { DefinitionError } from '../definitions/definition-error';
import { filledIn } from '../definitions/filled-in';
import { FUNCTIONS, PERIOD_PATTERNS } from '../definitions/names';
import { rules } from '../definitions/rules';

/** When the data of a period is published, and which period is the last. Every type of source has these props. */
interface Timed {
  /**
   * Months between the end of a period and the publication of its data, 0 to 24. A run collects the newest period that
   * is published.
   * @default 0
   */
  readonly monthsUntilPublished?: number;

  /**
   * The last period that the source will ever have, as in `2024-01`, for a data set that has ended. It must be as long
   * as a batch.
   * @default - the source goes on
   */
  readonly until?: string;
}

/** Files on a web server, one for each period. */
export interface HttpSource extends Timed {
  /** Files on a web server. */
  readonly type: 'http';

  /**
   * URL of a batch's file. `{{ year }}`, `{{ month }}` (2024-01), `{{ date }}` (2024-01-31) and `{{ hour }}`
   * (2024-01-31T05) stand for the batch's period, in UTC; at least one must be there. The port must be 80 or 443,
   * because the step pods' NetworkPolicy opens no other. The URL must not contain a password or token, because dist/ is
   * readable by everyone.
   */
  readonly url: string;

  /**
   * Format of the files.
   * @default parquet
   */
  readonly format?: 'parquet' | 'csv';
}

/** Files that somebody uploads to the platform's own object store. */
export interface S3Source extends Timed {
  /** Files in the platform's own object store. */
  readonly type: 's3';

  /**
   * Prefix of a batch's files in the bucket `data`, with at least one placeholder as in `HttpSource`:
   * `incoming/trips/{{ month }}/`. Every file below it whose name ends in the format, as in `.parquet`, is part of the
   * batch.
   */
  readonly prefix: string;

  /**
   * Format of the files.
   * @default parquet
   */
  readonly format?: 'parquet' | 'csv';
}

/** Rows of a Postgres database. */
export interface SqlSource extends Timed {
  /** Rows of a Postgres database. */
  readonly type: 'sql';

  /** A SELECT that returns a batch's rows. `:start` and `:end` stand for the period; `:end` is exclusive. */
  readonly query: string;

  /** How much time a batch spans. */
  readonly period: Period;

  /**
   * Name of a Secret in mlops-steps that you create. Its key `url` is
   * `postgresql://user:password@host:port/database`. Only the step `collect` gets it.
   */
  readonly secretName: string;

  /**
   * Port of the database. The NetworkPolicy of the step `collect` opens it.
   * @default 5432
   */
  readonly port?: number;
}

/** The function `collect(start, end)` in model.py, which returns a batch as a DataFrame; `end` is exclusive. */
export interface PythonSource extends Timed {
  /** The function `collect` in model.py. */
  readonly type: 'python';

  /** How much time a batch spans. */
  readonly period: Period;
}

export type Period = 'year' | 'month' | 'date' | 'hour';

/** Where a batch comes from. */
export type Source = HttpSource | S3Source | SqlSource | PythonSource;

/** Every period, the longest first. */
const PERIODS = Object.keys(PERIOD_PATTERNS) as readonly Period[];

const timed = {
  monthsUntilPublished: rules.whole(0, 24).default(0),
  until: z
    .string()
    .refine(isPeriod, "must be a period, as in '2024', '2024-01', '2024-01-31' or '2024-01-31T05'")
    .optional(),
};

const format = z.enum(['parquet', 'csv']).default('parquet');

const http = z.strictObject({
  type: z.literal('http'),
  url: z
    .string()
    .refine(
      isHttpUrl,
      "must be an http or https address without spaces, as in 'https://example.com/trips-{{ month }}.parquet'",
    )
    .refine(
      (url) => !/^[^:]*:\/\/[^/?#]*@|[?&][^=&]*(password|secret|token|signature|api_?key)[^=&]*=/i.test(url),
      'must not carry a user, password or token: dist is readable by everyone',
    )
    .refine(
      hasAllowedPort,
      "must be on port 80 or 443: the step pods' firewall opens no other to the outside",
    )
    .pipe(template()),
  format,
  ...timed,
});

const s3 = z.strictObject({
  type: z.literal('s3'),
  prefix: z
    .string()
    .regex(
      /^[A-Za-z0-9._-][\w./{} =-]*$/,
      "must be a place in the bucket 'data' without a slash in front, as in 'incoming/trips/{{ month }}/'",
    )
    .pipe(template()),
  format,
  ...timed,
});

const sql = z.strictObject({
  type: z.literal('sql'),
  query: z
    .string()
    .max(20_000, 'must be at most 20000 characters')
    .refine((query) => /^\s*(select|with)\b/i.test(query), 'must be a SELECT')
    .refine(
      (query) => /:start\b/.test(query) && /:end\b/.test(query),
      'must quote :start and :end; every batch would be the same rows',
    ),
  period: z.enum(PERIODS),
  secretName: rules.dnsLabel(63),
  port: rules.whole(1, 65535).default(5432),
  ...timed,
});

const python = z.strictObject({ type: z.literal('python'), period: z.enum(PERIODS), ...timed });

export const sourceSchema = z
  .discriminatedUnion('type', [http, s3, sql, python])
  .refine(({ until, ...source }) => until === undefined || periodOf(until) === batchPeriod(source), {
    path: ['until'],
    error: "must be a period as long as the source's own: 2024-01 where a batch is a month",
  });

/** Checked, with its defaults filled in. */
export type SourceDefinition = z.output<typeof sourceSchema>;

/** Functions that model.py must define for each type of source, besides those that every pipeline needs. */
export const SOURCE_FUNCTIONS: Readonly<Record<Source['type'], readonly string[]>> = {
  http: [],
  s3: [],
  sql: [],
  python: [FUNCTIONS.collect],
};

/** The types of sources. */
export const SOURCE_TYPES = Object.keys(SOURCE_FUNCTIONS);

/**
 * A source as the step `collect` reads it: each says how much time a batch spans, files name their bucket, and a
 * database comes without its login.
 */
export const sourceSpecSchema = z.discriminatedUnion('type', [
  filledIn(http).extend({ period: z.enum(PERIODS) }),
  filledIn(s3).extend({ period: z.enum(PERIODS), bucket: z.string() }),
  filledIn(sql).omit({ secretName: true, port: true }),
  filledIn(python),
]);

/**
 * The source as the step `collect` reads it.
 * @throws DefinitionError for a type that it does not know.
 */
export function sourceSpec(source: SourceDefinition, bucket: string): z.output<typeof sourceSpecSchema> {
  switch (source.type) {
    case 'http':
      return { ...source, period: batchPeriod(source) };
    case 's3':
      return { ...source, period: batchPeriod(source), bucket };
    case 'sql': {
      const { secretName: _secretName, port: _port, ...read } = source;
      return read;
    }
    case 'python':
      return source;
    default:
      throw unknownSource(source);
  }
}

/** A text with at least one placeholder for the batch's period, and with no other placeholder. */
function template() {
  return z
    .string()
    .refine(
      (text) => placeholders(text).every((name) => PERIODS.includes(name as Period)),
      `may quote ${PERIODS.map((name) => `{{ ${name} }}`).join(', ')} and nothing else`,
    )
    .refine(
      (text) => placeholders(text).length > 0,
      "must quote the batch's period, as in {{ month }}; every batch would be the same file",
    );
}

/**
 * How much time a batch spans.
 * @throws DefinitionError for a type that it does not know.
 */
export function batchPeriod(source: SourcePeriod): Period {
  switch (source.type) {
    case 'http':
      return finestPeriod(source.url);
    case 's3':
      return finestPeriod(source.prefix);
    case 'sql':
    case 'python':
      return source.period;
    default:
      throw unknownSource(source);
  }
}

/** The part of a source that determines how much time a batch spans. */
type SourcePeriod =
  | Pick<HttpSource, 'type' | 'url'>
  | Pick<S3Source, 'type' | 'prefix'>
  | Pick<SqlSource | PythonSource, 'type' | 'period'>;

/** The error for an unknown type. It takes `never`, so that a `switch` that lacks a type of source does not compile. */
function unknownSource(source: never): DefinitionError {
  const { type } = source as { type?: unknown };
  return new DefinitionError('source.type', `must be one of ${SOURCE_TYPES.join(', ')}`, type);
}

/** The shortest period among the placeholders of a text, which must have at least one. */
function finestPeriod(text: string): Period {
  const quoted = placeholders(text);
  return [...PERIODS].reverse().find((period) => quoted.includes(period))!;
}

function periodOf(batch: string): Period | undefined {
  return PERIODS.find((period) => new RegExp(`^${PERIOD_PATTERNS[period]}$`).test(batch));
}

/** Whether a text is written as a period and is in the calendar. */
function isPeriod(batch: string): boolean {
  const [date, hour] = batch.split('T');
  const start = `${`${date}-01-01`.slice(0, 10)}T${hour ?? '00'}:00:00.000Z`;
  const moment = new Date(start);
  return periodOf(batch) !== undefined && !Number.isNaN(+moment) && moment.toISOString() === start;
}

function isHttpUrl(url: string): boolean {
  const filled = fill(url);
  return (
    // What is not printable ASCII must be percent-encoded in a URL.
    /^https?:\/\/[!-~]+$/.test(filled) && !/["'<>\\^`{|}]/.test(filled) && URL.canParse(filled)
  );
}

/** Whether step pods may reach the URL's port. In the cluster any port may be opened by another NetworkPolicy. */
function hasAllowedPort(url: string): boolean {
  const filled = fill(url);
  // isHttpUrl reports this.
  if (!URL.canParse(filled)) return true;
  const { hostname, port } = new URL(filled);
  return ['', '80', '443'].includes(port) || /\.svc(\.cluster\.local)?$/.test(hostname);
}

function fill(url: string): string {
  return url.replace(/\{\{[^{}]*\}\}/g, '0');
}

function placeholders(text: string): string[] {
  return [...text.matchAll(/\{\{ *([^{}]*?) *\}\}/g)].map((match) => match[1]!);
}
