import { receivedBytes, storedBytes } from '../foundation/minio-observability';
import { type Dashboard, OVERVIEW_UID } from '../observability/dashboard';
import type { Observability } from '../observability/observability';
import type { Signal } from '../observability/signal';
import { predictionFailures, predictionRequests, predictionSeconds } from '../serving/triton-observability';
import { mlflowFailingRatio, mlflowRequests, mlflowSlowest } from '../training/mlflow-observability';
import {
  failedRuns,
  retrainingRuns,
  runningRuns,
  schedulerBeats,
  succeededRuns,
} from '../workflow/airflow-observability';
import { type AirflowDurations, airflowDurations } from '../workflow/airflow-durations';
import { metricNames } from '../validation/promql';
import { stepPods } from './kubernetes-observability';

export { OVERVIEW_UID };

/** A model's life from left to right: the page that Grafana opens with. */
export function overviewDashboard(durations: AirflowDurations): Dashboard {
  return {
    uid: OVERVIEW_UID,
    title: 'Model lifecycle',
    description: 'From collecting data to watching the model that came of it.',
    rows: [
      { title: 'Systems', signals: [systemsUp, schedulerBeats, runningRuns, firing] },
      { title: '1 Collect', signals: [storedBytes, receivedBytes] },
      { title: '2 Train', signals: [stepPods, succeededRuns(durations)] },
      { title: '3 Register', signals: [mlflowRequests, mlflowFailingRatio, mlflowSlowest] },
      { title: '4 Deploy', signals: [predictionRequests, predictionSeconds] },
      {
        title: '5 Observe',
        signals: [predictionFailures, firingBySystem, failedRuns(durations), retrainingRuns],
      },
    ],
  };
}

/** The overview without panels whose metrics this environment lacks: an external object store declares none. */
export function showableOverview({ knownMetrics, prometheus }: Observability): Dashboard {
  const overview = overviewDashboard(airflowDurations(prometheus));
  const rows = overview.rows
    .map((row) => ({
      ...row,
      signals: row.signals.filter(({ expr }) =>
        metricNames(expr).every((metric) => knownMetrics.has(metric)),
      ),
    }))
    .filter(({ signals }) => signals.length > 0);
  return { ...overview, rows };
}

const systemsUp: Signal = {
  name: 'Systems',
  description: 'Whether Prometheus reaches at least one pod of each system.',
  unit: 'bool',
  expr: 'max by (job) (up)',
  by: ['job'],
  as: 'stat',
};

const firing: Signal = {
  name: 'Firing alerts',
  description: 'Alerts that hold now.',
  unit: 'short',
  expr: 'count(ALERTS{alertstate="firing"}) or vector(0)',
  as: 'stat',
};

const firingBySystem: Signal = {
  name: 'Firing alerts by system',
  description: 'Alerts that hold now, by the system they speak of.',
  unit: 'short',
  expr: 'count by (system) (ALERTS{alertstate="firing"})',
  by: ['system'],
};
