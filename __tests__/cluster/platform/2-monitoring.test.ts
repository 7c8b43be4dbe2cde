import { appliedObjects, customResources } from '../../../scripts/cli/platform/manifests';
import { report } from '../support/cluster';
import { LAPTOP, WITHOUT_IMAGE } from '../support/platform';
import { prometheus, until } from '../support/prometheus';

interface Target {
  scrapePool: string;
  health: string;
  lastError: string;
}

const custom = customResources(appliedObjects(LAPTOP));

/** The monitors of workloads that cannot run here. */
const WITHOUT_TARGET = WITHOUT_IMAGE.map((workload) => workload.split('/')[1]);

test('every ServiceMonitor and PodMonitor has its target, and it is up', () => {
  const wanted = custom
    .filter(({ kind, metadata }) => kind.endsWith('Monitor') && !WITHOUT_TARGET.includes(metadata.name))
    .map(
      ({ kind, metadata }) =>
        `${kind[0]!.toLowerCase()}${kind.slice(1)}/${metadata.namespace}/${metadata.name}/0`,
    )
    .sort();
  const targets = until(
    () => prometheus<{ activeTargets: Target[] }>('targets?state=active').activeTargets,
    (found) => wanted.every((pool) => found.some((t) => t.scrapePool === pool && t.health === 'up')),
    300,
  );
  for (const { scrapePool, health, lastError } of targets) report(`${scrapePool}: ${health} ${lastError}`);
  const up = targets.filter(({ health }) => health === 'up').map(({ scrapePool }) => scrapePool);
  expect(wanted.filter((pool) => !up.includes(pool))).toEqual([]);
});

test('every rule is loaded and evaluates', () => {
  const wanted = custom
    .filter(({ kind }) => kind === 'PrometheusRule')
    .flatMap(({ spec }) =>
      (spec.groups as { rules: { alert?: string; record?: string }[] }[]).flatMap(({ rules }) => rules),
    )
    .map(({ alert, record }) => alert ?? record)
    .sort();
  const rules = until(
    () =>
      prometheus<{ groups: { rules: { name: string; health: string; lastError?: string }[] }[] }>(
        'rules',
      ).groups.flatMap((g) => g.rules),
    (found) => found.length === wanted.length && found.every(({ health }) => health === 'ok'),
    300,
  );
  expect(rules.map(({ name }) => name).sort()).toEqual(wanted);
  expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
  report(`${rules.length} rules`);
});

test('every panel of every dashboard is a query that this Prometheus answers', () => {
  const queries = appliedObjects(LAPTOP)
    .filter(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name.startsWith('dashboard-'))
    .flatMap(({ metadata, data }) => {
      const [json] = Object.values(data as Record<string, string>);
      const { panels } = JSON.parse(json!) as { panels: { title: string; targets?: { expr: string }[] }[] };
      return panels.flatMap(({ title, targets }) =>
        (targets ?? []).map(({ expr }) => ({ where: `${metadata.name}: ${title}`, expr })),
      );
    });
  const answers = queries.map(({ where, expr }) => ({
    where,
    result: prometheus<{ result: unknown[] }>(query(expr)).result,
  }));
  const empty = answers.filter(({ result }) => result.length === 0);
  report(
    `${answers.length} panels asked; ${empty.length} have nothing to show yet: ${empty.map(({ where }) => where).join('; ')}`,
  );
  expect(answers.length).toBeGreaterThan(100);
});

test('Airflow’s metrics arrive without an exporter', () => {
  const names = until(
    () => prometheus<string[]>('label/__name__/values').filter((name) => name.startsWith('airflow_')),
    (found) => found.includes('airflow_scheduler_heartbeat_total'),
    300,
  );
  report(`${names.length} metrics of Airflow: ${names.join(', ')}`);
  expect(names).toContain('airflow_scheduler_heartbeat_total');
});

test('Prometheus sends its alerts to Alertmanager', () => {
  const { activeAlertmanagers } = prometheus<{ activeAlertmanagers: unknown[] }>('alertmanagers');
  expect(activeAlertmanagers).toHaveLength(1);
});

/** The query of a panel, with values for the variables that Grafana fills in. */
function query(expr: string): string {
  const filled = expr
    .replaceAll('$__rate_interval', '2m')
    .replaceAll('$__interval', '30s')
    .replaceAll('$__range', '1h')
    .replace(/\$\{?[a-z_]+\}?/g, '.*');
  return `query?query=${encodeURIComponent(filled)}`;
}
