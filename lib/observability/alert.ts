/** A symptom someone can act on. Its runbook is `docs/runbooks/<name>.md`. */
export interface Alert {
  /** CamelCase, unique in the platform: `PostgresDown`. */
  readonly name: string;
  /** PromQL; every series it returns is one firing alert. */
  readonly expr: string;
  /** How long it must hold before it fires, as Prometheus spells it: `5m`. */
  readonly for: string;
  readonly severity: 'critical' | 'warning';
  /** One sentence a person reads first; may quote `{{ $labels.x }}` and `{{ $value }}`. */
  readonly summary: string;
}

/** Relative to the repository: the platform does not know where a fork of it is hosted. */
const RUNBOOKS_URL = 'docs/runbooks';

/** Where the page of an alert is. */
export function runbookUrl(alertName: string): string {
  return `${RUNBOOKS_URL}/${alertName}.md`;
}

/** The alert as a PrometheusRule spells it. */
export function alertingRule(alert: Alert, system: string) {
  return {
    alert: alert.name,
    expr: alert.expr,
    for: alert.for,
    labels: { severity: alert.severity, system },
    annotations: { summary: alert.summary, runbook_url: runbookUrl(alert.name) },
  };
}
