import type { Manifest } from '../../../lib/validation/manifests';
import { report } from './cluster';
import { prometheus, until } from './prometheus';

export interface Target {
  readonly scrapePool: string;
  readonly scrapeUrl: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly health: string;
  readonly lastError: string;
}

export interface Rule {
  readonly name: string;
  readonly query: string;
  readonly health: string;
  readonly lastError?: string;
}

/** The names that Prometheus gives the scrapes of ServiceMonitors and PodMonitors, sorted. */
export function scrapePools(monitors: readonly Manifest[]): string[] {
  return monitors
    .map(
      ({ kind, metadata }) =>
        `${kind[0]!.toLowerCase()}${kind.slice(1)}/${metadata.namespace}/${metadata.name}/0`,
    )
    .sort();
}

/** The targets that a Prometheus scrapes. @param url of another Prometheus than the platform's own */
export function activeTargets(url?: string): Target[] {
  return prometheus<{ activeTargets: Target[] }>('targets?state=active', url).activeTargets;
}

/** Waits up to five minutes for a target of each scrape pool that is up. @returns the scrape pools that have one */
export function poolsThatAreUp(wanted: readonly string[], url?: string): string[] {
  const targets = until(
    () => activeTargets(url),
    (found) => wanted.every((pool) => found.some((t) => t.scrapePool === pool && t.health === 'up')),
    300,
  );
  for (const { scrapePool, health, lastError } of targets) report(`${scrapePool}: ${health} ${lastError}`);
  return targets.filter(({ health }) => health === 'up').map(({ scrapePool }) => scrapePool);
}

/** The names of the records and alerts of PrometheusRules, sorted. */
export function ruleNames(objects: readonly Manifest[]): string[] {
  return objects
    .filter(({ kind }) => kind === 'PrometheusRule')
    .flatMap(({ spec }) =>
      (spec.groups as { rules: { alert?: string; record?: string }[] }[]).flatMap(({ rules }) => rules),
    )
    .map(({ alert, record }) => alert ?? record!)
    .sort();
}

/** The rules that a Prometheus has loaded. @param isWanted of the path of a rule file; by default all are */
export function loadedRules(url?: string, isWanted: (file: string) => boolean = () => true): Rule[] {
  return prometheus<{ groups: { file: string; rules: Rule[] }[] }>('rules', url)
    .groups.filter(({ file }) => isWanted(file))
    .flatMap(({ rules }) => rules);
}

/** Waits up to five minutes until so many rules are loaded and evaluate, and returns those that are loaded. */
export function evaluatedRules(count: number, url?: string, isWanted?: (file: string) => boolean): Rule[] {
  const rules = until(
    () => loadedRules(url, isWanted),
    (found) => found.length === count && found.every(({ health }) => health === 'ok'),
    300,
  );
  report(`${rules.length} rules`);
  return rules;
}

/** The ConfigMaps of Grafana's dashboards. */
export function dashboards(objects: readonly Manifest[]): Manifest[] {
  return objects.filter(
    ({ kind, metadata }) => kind === 'ConfigMap' && metadata.name.startsWith('dashboard-'),
  );
}

/** Every query of dashboards, with values for the variables that Grafana fills in, and where it is. */
export function panelQueries(configMaps: readonly Manifest[]): { where: string; expr: string }[] {
  return configMaps.flatMap(({ metadata, data }) => {
    const [json] = Object.values(data as Record<string, string>);
    const { panels } = JSON.parse(json!) as { panels: { title: string; targets?: { expr: string }[] }[] };
    return panels.flatMap(({ title, targets }) =>
      (targets ?? []).map(({ expr }) => ({ where: `${metadata.name}: ${title}`, expr: filledIn(expr) })),
    );
  });
}

function filledIn(expr: string): string {
  return expr
    .replaceAll('$__rate_interval', '2m')
    .replaceAll('$__interval', '30s')
    .replaceAll('$__range', '1h')
    .replace(/\$\{?[a-z_]+\}?/g, '.*');
}
