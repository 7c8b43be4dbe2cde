import { ENVIRONMENT } from '../../../lib/definitions/names';
import { PLATFORM_NAMESPACE } from '../../../lib/kubernetes/namespaces';
import { runbookUrl } from '../../../lib/observability/alert';
import { platformSeries } from '../../../lib/observability/platform-series';
import { OWN_PROMETHEUS } from '../../../lib/observability/prometheus-server';
import { tryKubectl } from './kubectl';

type Sample = { readonly metric: Readonly<Record<string, string>> };

const PROMTOOL = [
  ...['exec', `--namespace=${PLATFORM_NAMESPACE}`, 'statefulset/prometheus-prometheus'],
  ...['--container=prometheus', '--', 'promtool', 'query', 'instant', '--format=json'],
  ...['http://localhost:9090', platformSeries('ALERTS{alertstate="firing"}', OWN_PROMETHEUS)],
];

/** Somebody else's Prometheus has no pod of ours: Airflow knows its address, and has a way to it. */
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
