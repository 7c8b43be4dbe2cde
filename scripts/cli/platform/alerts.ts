import { ENVIRONMENT } from '../../../lib/definitions/names';
import { PLATFORM_NAMESPACE } from '../../../lib/kubernetes/namespaces';
import { runbookUrl } from '../../../lib/observability/alert';
import { withMatcher } from '../../../lib/validation/promql';
import { OWN_PROMETHEUS } from '../../../lib/observability/prometheus-server';
import { tryKubectl } from './kubectl';

type Sample = { readonly metric: Readonly<Record<string, string>> };

const PROMTOOL = [
  ...['exec', `--namespace=${PLATFORM_NAMESPACE}`, 'statefulset/prometheus-prometheus'],
  ...['--container=prometheus', '--', 'promtool', 'query', 'instant', '--format=json'],
  ...['http://localhost:9090', withMatcher('ALERTS{alertstate="firing"}', OWN_PROMETHEUS.matcher)],
];

/** Asks somebody else's Prometheus from Airflow's pod, which has its address and may reach it. */
const THROUGH_AIRFLOW = [
  ...['exec', `--namespace=${PLATFORM_NAMESPACE}`, 'deployment/airflow-scheduler'],
  ...['--container=scheduler', '--', 'python', '-c'],
  [
    'import os, json; from urllib.parse import quote; from urllib.request import ProxyHandler, build_opener',
    `query = 'ALERTS{alertstate="firing", %s}' % os.environ['${ENVIRONMENT.prometheusMatcher}']`,
    `url = os.environ['${ENVIRONMENT.prometheusUrl}'] + '/api/v1/query?query=' + quote(query)`,
    "print(json.dumps(json.load(build_opener(ProxyHandler({})).open(url, timeout=20))['data']['result']))",
  ].join('\n'),
];

/** A line for each alert of the platform that fires, with its runbook. */
export function firingAlerts(): string[] {
  const own = tryKubectl(...PROMTOOL);
  const { status, stdout } = own.stderr.includes('(NotFound)') ? tryKubectl(...THROUGH_AIRFLOW) : own;
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
