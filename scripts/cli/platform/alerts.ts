import { PLATFORM_NAMESPACE } from '../../../lib/kubernetes/namespaces';
import { runbookUrl } from '../../../lib/observability/alert';
import { platformSeries } from '../../../lib/observability/platform-series';
import { tryKubectl } from './kubectl';

type Sample = { readonly metric: Readonly<Record<string, string>> };

const PROMTOOL = [
  ...['exec', `--namespace=${PLATFORM_NAMESPACE}`, 'statefulset/prometheus-prometheus'],
  ...['--container=prometheus', '--', 'promtool', 'query', 'instant', '--format=json'],
  ...['http://localhost:9090', platformSeries('ALERTS{alertstate="firing"}')],
];

/** A line for each alert of the platform that fires, with its runbook. */
export function firingAlerts(): string[] {
  const { status, stdout } = tryKubectl(...PROMTOOL);
  if (status !== 0) return ['not known, for Prometheus does not answer'];
  const lines = (JSON.parse(stdout) as Sample[]).map(inWords).sort();
  return lines.length > 0 ? lines : ['none'];
}

/** Labels that a line leaves out. */
const LEFT_OUT = new Set(['__name__', 'alertname', 'alertstate', 'severity', 'system', 'prometheus']);

/** `ModelDrift (warning)  feature=hour  model=trip  docs/runbooks/ModelDrift.md`. */
export function inWords({ metric }: Sample): string {
  const labels = Object.keys(metric)
    .filter((name) => !LEFT_OUT.has(name))
    .sort()
    .map((name) => `${name}=${metric[name]}`);
  const { alertname, severity } = metric;
  return [`${alertname} (${severity})`, ...labels, runbookUrl(alertname!)].join('  ');
}
