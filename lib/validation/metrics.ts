import { type Manifest, title } from './manifests';
import { metricNames, promqlErrors } from './promql';

interface Query {
  readonly where: string;
  readonly expr: string;
}

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
  readonly panels?: readonly Panel[];
}

interface Dashboard {
  readonly panels: readonly Panel[];
  readonly templating?: {
    readonly list?: readonly { readonly name: string; readonly definition?: string }[];
  };
}

/** Every expression in an alert or a dashboard is valid PromQL, and uses only metrics that something emits. */
export function checkMetrics(manifests: readonly Manifest[], known: ReadonlySet<string>): string[] {
  const queries = manifests.flatMap((manifest) => [...ruleQueries(manifest), ...dashboardQueries(manifest)]);
  const recorded = new Set(manifests.flatMap(recordedNames));
  return queries.flatMap(({ where, expr }) => {
    const errors = promqlErrors(expr);
    if (errors.length > 0) return [`${where}: '${expr}' is not PromQL: ${errors.join('; ')}`];
    return metricNames(expr)
      .filter((metric) => !known.has(metric) && !recorded.has(metric))
      .map((metric) => `${where}: asks for '${metric}', which no component is known to emit`);
  });
}

function rulesOf(manifest: Manifest): { alert?: string; record?: string; expr: string }[] {
  if (manifest.kind !== 'PrometheusRule') return [];
  return manifest.spec.groups.flatMap((group: { rules: unknown[] }) => group.rules);
}

function recordedNames(manifest: Manifest): string[] {
  return rulesOf(manifest).flatMap(({ record }) => record ?? []);
}

function ruleQueries(manifest: Manifest): Query[] {
  return rulesOf(manifest).map(({ alert, record, expr }) => ({
    where: `${title(manifest)}: ${alert ?? record}`,
    expr,
  }));
}

function dashboardQueries(manifest: Manifest): Query[] {
  if (manifest.kind !== 'ConfigMap' || !manifest.metadata.name.startsWith('dashboard-')) return [];
  return Object.values(manifest.data as Record<string, string>).flatMap((json) => {
    const { panels, templating } = JSON.parse(json) as Dashboard;
    return [
      // The panels of a collapsed row are inside of the row.
      ...panels
        .flatMap((panel) => [panel, ...(panel.panels ?? [])])
        .flatMap((panel) =>
          (panel.targets ?? []).map(({ expr }) => ({
            where: `${title(manifest)}: panel '${panel.title}'`,
            expr,
          })),
        ),
      ...(templating?.list ?? []).flatMap(({ name, definition }) => {
        const metric = /^label_values\((.+),[^,]*\)$/.exec(definition ?? '')?.[1];
        return metric ? [{ where: `${title(manifest)}: variable '${name}'`, expr: metric }] : [];
      }),
    ];
  });
}
