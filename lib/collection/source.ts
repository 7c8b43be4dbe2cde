import { z } from 'zod';
import { rules } from '../core/rules';

/** Where a batch comes from: a file behind http(s), one for each period. */
export interface HttpSource {
  readonly type: 'http';

  /**
   * Address of one batch's file. `{{ year }}`, `{{ month }}` (2024-01), `{{ date }}`
   * (2024-01-31) and `{{ hour }}` (2024-01-31T05) stand for the batch's period, in UTC.
   * On port 80 or 443, which the step pods' firewall opens, and without a password or token.
   */
  readonly url: string;

  /** @default parquet */
  readonly format?: 'parquet' | 'csv';

  /**
   * Months between a period's end and the day its file is published.
   * @default 0
   */
  readonly monthsUntilPublished?: number;
}

/** Where a batch comes from. */
export type Source = HttpSource;

const PLACEHOLDERS = ['year', 'month', 'date', 'hour'];

export const sourceSchema = z.strictObject({
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
    .refine(opensToSteps, "must be on port 80 or 443: the step pods' firewall opens no other to the outside")
    .refine(
      (url) => placeholders(url).every((name) => PLACEHOLDERS.includes(name)),
      `may quote ${PLACEHOLDERS.map((name) => `{{ ${name} }}`).join(', ')} and nothing else`,
    )
    .refine(
      (url) => placeholders(url).length > 0,
      "must quote the batch's period, as in {{ month }}; every batch would be the same file",
    ),
  format: z.enum(['parquet', 'csv']).default('parquet'),
  monthsUntilPublished: rules.whole(0, 24).default(0),
});

/** Checked, with its defaults filled in. */
export type SourceDefinition = z.output<typeof sourceSchema>;

function isHttpUrl(url: string): boolean {
  const filled = fill(url);
  return (
    // What is not printable ASCII must be percent-encoded in a URL.
    /^https?:\/\/[!-~]+$/.test(filled) && !/["'<>\\^`{|}]/.test(filled) && URL.canParse(filled)
  );
}

function opensToSteps(url: string): boolean {
  const filled = fill(url);
  if (!URL.canParse(filled)) return true;
  const { hostname, port } = new URL(filled);
  return ['', '80', '443'].includes(port) || /\.svc(\.cluster\.local)?$/.test(hostname);
}

function fill(url: string): string {
  return url.replace(/\{\{[^{}]*\}\}/g, '0');
}

function placeholders(url: string): string[] {
  return [...url.matchAll(/\{\{ *([^{}]*?) *\}\}/g)].map((match) => match[1]!);
}
