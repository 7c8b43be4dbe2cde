/** A symptom on which somebody can act. Its runbook is `docs/runbooks/<name>.md`. */
export interface Alert {
  /** CamelCase, unique in the platform: `PostgresDown`. */
  readonly name: string;
  /** PromQL. Every series that it returns is one firing alert. */
  readonly expr: string;
  /** How long `expr` must hold before the alert fires, as Prometheus writes it: `5m`. */
  readonly for: string;
  readonly severity: 'critical' | 'warning';
  /** One sentence that a person reads first. It may contain `{{ $labels.x }}` and `{{ $value }}`. */
  readonly summary: string;
}

/** Relative to the repository, because it is not known where a fork of it is hosted. */
const RUNBOOKS_URL = 'docs/runbooks';

/** Path of an alert's runbook. */
export function runbookUrl(alertName: string): string {
  return `${RUNBOOKS_URL}/${alertName}.md`;
}

/** The alert as a rule of a PrometheusRule. */
export function alertingRule(alert: Alert, system: string) {
  return {
    alert: alert.name,
    expr: alert.expr,
    for: alert.for,
    labels: { severity: alert.severity, system },
    annotations: { summary: alert.summary, runbook_url: runbookUrl(alert.name) },
  };
}
