import type { PipelineProps } from '../../lib';

/** A pipeline with the required props only. */
export const TRIP: PipelineProps = {
  name: 'trip',
  owner: 'Taxi team',
  source: { type: 'http', url: 'https://example.com/{{ month }}.parquet' },
  schedule: '@monthly',
  schema: {
    columns: { pickup: { type: 'datetime' } },
    timestamp: 'pickup',
    features: { hour: { type: 'int' } },
    target: { name: 'minutes', type: 'float' },
  },
  gate: { metric: 'mae', better: 'lower' },
};
