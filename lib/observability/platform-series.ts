import { PLATFORM_NAMESPACE } from '../kubernetes/namespaces';
import { withMatcher } from '../validation/promql';
import type { Dashboard } from './dashboard';
import type { PrometheusServer } from './prometheus-server';

/**
 * Labels that rules add in a shared Prometheus, where the platform's series are known by their namespace. An
 * aggregation drops that label. A record gets the platform's namespace; an alert keeps the namespace of its series, or
 * gets the platform's.
 */
export const RECORD_LABELS = { namespace: PLATFORM_NAMESPACE };
export const ALERT_LABELS = { namespace: `{{ or $labels.namespace "${PLATFORM_NAMESPACE}" }}` };

/** The dashboard with the matcher of the platform's own series in every selector of its panels and variables. */
export function platformDashboard(
  dashboard: Dashboard,
  { matcher }: Pick<PrometheusServer, 'matcher'>,
): Dashboard {
  return {
    ...dashboard,
    rows: dashboard.rows.map((row) => ({
      ...row,
      signals: row.signals.map((signal) => ({ ...signal, expr: withMatcher(signal.expr, matcher) })),
    })),
    variables: dashboard.variables?.map((variable) => ({
      ...variable,
      metric: withMatcher(variable.metric, matcher),
    })),
  };
}
