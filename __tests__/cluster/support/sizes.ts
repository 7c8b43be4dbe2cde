import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { definePipeline, type PipelineProps } from '../../../lib';
import type { LoadedPipeline } from '../../../lib/pipeline/pipeline';

/** A thing that was measured. `request` is the id of the request that asked for its weight before that was known. */
export interface Thing {
  readonly time: string;
  readonly size: number;
  readonly weight: number;
  readonly request: string;
}

/** A pipeline that learns from a given source what a thing of some size weighs. */
export function sizes({
  requestId,
  ...props
}: Pick<PipelineProps, 'name' | 'source'> & Partial<PipelineProps> & { requestId?: string }): LoadedPipeline {
  return {
    model: readFileSync(join(__dirname, 'sizes.model.py'), 'utf8'),
    definition: definePipeline({
      owner: 'Tests <tests@example.com>',
      schedule: '@monthly',
      schema: {
        columns: {
          time: { type: 'datetime' },
          size: { type: 'float', min: 0, max: 1 },
          weight: { type: 'float', min: 0, max: 3 },
          ...(requestId ? { [requestId]: { type: 'string' as const } } : {}),
        },
        timestamp: 'time',
        features: { size: { type: 'float', min: 0, max: 1 } },
        target: { name: 'weight', type: 'float', min: 0, max: 3 },
        requestId,
      },
      gate: { metric: 'mae', better: 'lower' },
      ...props,
    }),
  };
}

/**
 * A batch of things, spread evenly over 28 days from a month's first moment on. Each weighs `times` its size.
 * @param month as in `2024-01`
 * @param asked sizes of the first things, for which requests `<prefix>-<index>` asked; those of the others are below 0.5
 */
export function things(month: string, times: number, asked: readonly number[] = [], prefix = ''): Thing[] {
  const start = Date.parse(`${month}-01T00:00:00Z`);
  const step = (28 * 24 * 3600 * 1000) / THINGS;
  return Array.from({ length: THINGS }, (_, index) => {
    const size = asked[index] ?? round(((index * 37) % THINGS) / (2 * THINGS));
    return {
      time: new Date(start + index * step).toISOString(),
      size,
      weight: round(times * size),
      request: index < asked.length ? `${prefix}-${index}` : `nobody-${index}`,
    };
  });
}

/** Things as the text of a CSV file. No value needs quotes. */
export function csv(rows: readonly Thing[]): string {
  const lines = rows.map(({ time, size, weight, request }) => [time, size, weight, request].join(','));
  return ['time,size,weight,request', ...lines, ''].join('\n');
}

/** The number of things in a batch. */
export const THINGS = 400;

function round(value: number): number {
  return Number(value.toFixed(6));
}
