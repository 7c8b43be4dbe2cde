import { spawnSync } from 'node:child_process';
import { cluster, serviceUrl } from './platform';

/**
 * Asks the API of the Prometheus in the cluster.
 * @param path below /api/v1/
 * @param url of another than the platform's own
 * @returns what is under `data` in its answer
 * @throws Error when Prometheus refuses
 */
export function prometheus<T>(path: string, url = serviceUrl('prometheus', 9090)): T {
  const answer = cluster.enter(
    'curl',
    '--silent',
    '--show-error',
    '--max-time',
    '30',
    `${url}/api/v1/${path}`,
  );
  const { status, data, error } = JSON.parse(answer) as { status: string; data: T; error?: string };
  if (status !== 'success') throw new Error(`Prometheus refuses ${path}: ${error}`);
  return data;
}

/** One series and its value now. */
export interface Sample {
  readonly metric: Record<string, string>;
  readonly value: [number, string];
}

/** The series of a PromQL expression, with their values now. */
export function query(expression: string, url?: string): Sample[] {
  return prometheus<{ result: Sample[] }>(`query?query=${encodeURIComponent(expression)}`, url).result;
}

/** Looks once a second until what it sees is as wanted or `seconds` are over, and returns what it saw last. */
export function until<T>(look: () => T, wanted: (seen: T) => boolean, seconds: number): T {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const seen = look();
    if (wanted(seen) || performance.now() > end) return seen;
    spawnSync('sleep', ['1']);
  }
}
