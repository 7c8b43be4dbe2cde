import { PLATFORM_NAMESPACE } from '../kubernetes/namespaces';
import { withMatcher } from '../validation/promql';
import type { Dashboard } from './dashboard';
import type { PrometheusServer } from './prometheus-server';

/**
 * Labels of a rule's series, where the platform's are known by their namespace: aggregations lose it, so that a rule
 * adds it again, to a record as a whole, to an alert where its own series lack it.
 */
export const RECORD_LABELS = { namespace: PLATFORM_NAMESPACE };
export const ALERT_LABELS = { namespace: `{{ or $labels.namespace "${PLATFORM_NAMESPACE}" }}` };

/** An expression that sees the platform's own series alone, whatever others call theirs. */
export function platformSeries(expr: string, { matcher }: Pick<PrometheusServer, 'matcher'>): string {
  return withMatcher(expr, matcher);
}

/** A dashboard whose panels and variables see the platform's own series alone. */
export function platformDashboard(
  dashboard: Dashboard,
  prometheus: Pick<PrometheusServer, 'matcher'>,
): Dashboard {
  return {
    ...dashboard,
    rows: dashboard.rows.map((row) => ({
      ...row,
      signals: row.signals.map((signal) => ({ ...signal, expr: platformSeries(signal.expr, prometheus) })),
    })),
    variables: dashboard.variables?.map((variable) => ({
      ...variable,
      metric: platformSeries(variable.metric, prometheus),
    })),
  };
}
