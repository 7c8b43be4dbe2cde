import type { PipelineProps } from '../../lib';

/** The least that a pipeline can say of itself. */
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
