import cronParser from 'cron-parser';
import { z } from 'zod';
import { type Bytes, type Cpu, parseBytes, parseCpu, type Range } from './quantity';

/** A length of time as Prometheus writes it: `30m`, `24h`, `7d`. */
export type Duration = `${number}${'s' | 'm' | 'h' | 'd'}`;

/** A schedule in cron's five fields, in UTC, or one of Airflow's presets: `0 6 1 * *`, `@daily`. */
export type Cron = string;

const PRESETS = ['@hourly', '@daily', '@weekly', '@monthly', '@yearly'];

const IDENTIFIER =
  "must be letters, digits and underscores, beginning with a letter or one underscore, as in 'trip_distance'";

const DURATION = /^[1-9]\d{0,4}[smhd]$/;

const ADDRESS = /^https?:\/\/[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:\d{1,5})?(\/[\w.~/-]*)?$/;

const LABEL_KEY =
  /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

/** Control characters, line separators, surrogates, and characters that change the direction of text. */
const UNREADABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/u;

/** Rules that definitions share. The message of each says what is allowed. */
export const rules = {
  /** One line of text for people, not empty. */
  line: (maximum: number) =>
    z
      .string()
      .max(maximum, `must be at most ${maximum} characters`)
      .refine((text) => text.trim() !== '', 'must not be empty')
      .refine((text) => !UNREADABLE.test(text), 'must be one line without control characters'),

  /** A name that becomes a part of object names in the cluster. */
  dnsLabel: (maximum: number) =>
    z
      .string()
      .max(
        maximum,
        `must be at most ${maximum} characters, because objects in the cluster carry it with a prefix`,
      )
      .regex(
        /^[a-z]([-a-z0-9]*[a-z0-9])?$/,
        "must be a DNS label: lower-case letters, digits and dashes, beginning with a letter, as in 'trip-duration'",
      ),

  /** A name that Python, SQL and PromQL all accept. */
  identifier: () =>
    z
      .string()
      .max(63, 'must be at most 63 characters')
      // Not two underscores in front: Prometheus reserves such labels, and JavaScript treats `__proto__` specially.
      .regex(/^(?!__)[A-Za-z_][A-Za-z0-9_]*$/, IDENTIFIER),

  /** A record whose keys are identifiers. */
  named: <T extends z.ZodType>(value: T) =>
    // z.record drops this key silently, so that it has to be refused first.
    z
      .any()
      .refine((names) => !Object.hasOwn(Object(names), '__proto__'), {
        path: ['__proto__'],
        error: `is no name: it ${IDENTIFIER}`,
      })
      .pipe(z.record(rules.identifier(), value)),

  /** A DNS name, or an IPv4 address. */
  host: () =>
    z
      .string()
      .max(200, 'must be at most 200 characters')
      .regex(
        /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$/,
        "must be a host name without scheme, port or path, as in 'db.example.com'",
      ),

  /** An http or https address. */
  address: () =>
    z
      .string()
      .max(200, 'must be at most 200 characters')
      .refine(
        (text) => ADDRESS.test(text) && URL.canParse(text),
        "must be an http or https address without a login, a query or a fragment, as in 'http://prometheus.monitoring.svc:9090'",
      ),

  /** Labels of an object, as Kubernetes takes them. */
  labels: () =>
    z.record(
      z.string().regex(LABEL_KEY, "must be a label's name, with or without a domain, as in 'release'"),
      z.string().regex(LABEL_VALUE, 'must be at most 63 letters, digits, dashes, dots and underscores'),
    ),

  /** Annotations of an object. */
  annotations: () =>
    z.record(
      z
        .string()
        .regex(LABEL_KEY, "must be an annotation's name, with or without a domain, as in 'grafana_folder'"),
      rules.line(1000),
    ),

  /** An image with its registry, and with an exact tag or a digest. */
  image: () =>
    z
      .string()
      .regex(
        /^[a-z0-9][a-z0-9.-]*(:\d+)?(\/[a-z0-9][a-z0-9._-]*)+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$/,
        "must be an image with its registry, as in 'registry.example.com/mlops/steps:1'",
      )
      .refine(
        (image) => /(:[^/:@]+|@sha256:[0-9a-f]{64})$/.test(image) && !image.endsWith(':latest'),
        "must name an exact tag other than 'latest', or a digest",
      ),

  bytes: () =>
    z.custom<Bytes>(
      (text) => typeof text === 'string' && parseBytes(text) !== undefined,
      "must be a positive amount in Mi, Gi or Ti, as in '512Mi' or '10Gi'",
    ),

  cpu: () =>
    z.custom<Cpu>(
      (text) => typeof text === 'string' && parseCpu(text) !== undefined,
      "must be a positive number of cores or millicores, as in '2' or '500m'",
    ),

  cpuRange: () =>
    z
      .strictObject({ request: rules.cpu(), limit: rules.cpu().optional() })
      .refine(notAbove(parseCpu), { path: ['request'], error: 'must not be above its limit' }),

  bytesRange: () =>
    z
      .strictObject({ request: rules.bytes(), limit: rules.bytes().optional() })
      .refine(notAbove(parseBytes), { path: ['request'], error: 'must not be above its limit' }),

  gpus: () =>
    number(
      (count) => Number.isInteger(count) && count >= 1,
      'must be a whole number of GPUs, at least 1; leave it out for none',
    ),

  duration: () =>
    z
      .custom<Duration>(
        (text) => typeof text === 'string' && DURATION.test(text),
        "must be a length of time, as in '30m', '24h' or '7d'",
      )
      .meta({ type: 'string', pattern: DURATION.source }),

  cron: () =>
    z
      .string()
      .refine(
        isCron,
        "must be five cron fields (minute hour day month weekday) or one of @hourly … @yearly, as in '0 6 1 * *'",
      ),

  whole: (minimum: number, maximum: number) =>
    number(
      (value) => Number.isInteger(value) && value >= minimum && value <= maximum,
      `must be a whole number from ${minimum} to ${maximum}`,
    ).meta({ type: 'integer', minimum, maximum }),

  between: (minimum: number, maximum: number) =>
    number((value) => value >= minimum && value <= maximum, `must be between ${minimum} and ${maximum}`).meta(
      {
        minimum,
        maximum,
      },
    ),

  finite: () => number(Number.isFinite, 'must be a finite number'),
};

/** A number. The message is the same where the value is out of range and where it is not a number. */
function number(check: (value: number) => boolean, problem: string) {
  return z.number(problem).refine(check, problem);
}

function notAbove<T extends string>(parse: (text: string) => number | undefined) {
  return ({ request, limit }: Range<T>) => limit === undefined || parse(request)! <= parse(limit)!;
}

function isCron(text: string): boolean {
  if (text.startsWith('@')) return PRESETS.includes(text);
  // cron-parser also accepts six fields (with seconds), fewer than five, and letters such as H, for which it picks a
  // random value.
  if (!/^(?:[\d*,/-]|[A-Za-z]{3})+(?: (?:[\d*,/-]|[A-Za-z]{3})+){4}$/.test(text)) return false;
  try {
    cronParser.parse(text);
    return true;
  } catch {
    return false;
  }
}
