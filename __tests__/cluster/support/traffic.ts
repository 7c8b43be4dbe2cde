import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NODE } from './pipelines';
import { awaitLog, startStep } from './step';

const TRAFFIC = readFileSync(join(__dirname, 'traffic.py'), 'utf8');

/** One request in ten is sampled, so these clients make about 7,000 sampled rows a minute. */
export const STEADY = { clients: 2, rows: 64 };

export interface Traffic {
  /** Whose trips are asked about: `2022-01`. */
  readonly month: string;
  readonly clients: number;
  /** Trips in a request. @default 8 */
  readonly rows?: number;
  /** Whose answers are held against the served ones, as `VERSION=KEY`. @default - no answer is */
  readonly models?: readonly string[];
}

/** Clients of a taxi model that ask until they are stopped; it returns once they ask. */
export function startTraffic(pipeline: string, name: string, traffic: Traffic): void {
  const { month, clients, rows = 8, models = [] } = traffic;
  const options = {
    data: `http://${NODE}/green_tripdata_${month}.parquet`,
    seconds: 3600,
    clients,
    rows,
    pause: 0.1,
  };
  const args = Object.entries(options).flatMap(([option, value]) => [`--${option}`, String(value)]);
  startStep(pipeline, name, TRAFFIC, ...args, '--models', ...models);
  awaitLog(name, 'asking');
}
