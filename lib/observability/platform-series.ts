import { MONITORED_NAMESPACE_LABEL } from '../definitions/names';
import { withMatcher } from '../validation/promql';
import type { Dashboard } from './dashboard';

/** What comes from a namespace of somebody else carries this label, and nothing of ours does. */
const MATCHER = `${MONITORED_NAMESPACE_LABEL}=""`;

/** An expression that sees the platform's own series alone, whatever others call theirs. */
export function platformSeries(expr: string): string {
  return withMatcher(expr, MATCHER);
}

/** A dashboard whose panels and variables see the platform's own series alone. */
export function platformDashboard(dashboard: Dashboard): Dashboard {
  return {
    ...dashboard,
    rows: dashboard.rows.map((row) => ({
      ...row,
      signals: row.signals.map((signal) => ({ ...signal, expr: platformSeries(signal.expr) })),
    })),
    variables: dashboard.variables?.map((variable) => ({
      ...variable,
      metric: platformSeries(variable.metric),
    })),
  };
}
