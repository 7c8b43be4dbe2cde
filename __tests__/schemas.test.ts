import { metricNames, promqlErrors, withMatcher } from '../lib/validation/promql';
import { cleanManifests, type Json } from './support/clean-manifests';
import { validate } from './support/schema-validator';

describe('a clean manifest passes', () => {
  test.each(cleanManifests().map((manifest) => [manifest.kind, manifest]))('%s', (_kind, manifest) => {
    expect(validate(manifest)).toEqual([]);
  });
});

describe('a core manifest is refused for', () => {
  test.each<[string, Json, string]>([
    [
      'text where a number belongs',
      deployment((d) => (d.spec.replicas = '2')),
      '/spec/replicas: must be integer',
    ],
    [
      'a number where text belongs',
      deployment((d) => (container(d).env[0].value = 1)),
      'must be string, got 1',
    ],
    ['a misspelt key', deployment((d) => (d.spec.replcas = 2)), "/spec: has no key 'replcas'"],
    [
      'a key in the wrong place',
      deployment((d) => (d.spec.containers = [])),
      "/spec: has no key 'containers'",
    ],
    ['a missing selector', deployment((d) => delete d.spec.selector), "/spec: 'selector' is missing"],
    ['a container without a name', deployment((d) => delete container(d).name), "'name' is missing"],
    ['no containers', deployment((d) => (d.spec.template.spec.containers = [])), 'fewer than 1 items'],
    ['no spec', deployment((d) => delete d.spec), "'spec' is missing"],
    ['a status', deployment((d) => (d.status = {})), "has no key 'status'"],
    [
      'a creation time',
      deployment((d) => (d.metadata.creationTimestamp = null)),
      "/metadata: has no key 'creationTimestamp'",
    ],
    [
      'a quantity with a wrong unit',
      deployment((d) => (limits(d).memory = '512MB')),
      'memory: must match pattern',
    ],
    ['a quantity with a space', deployment((d) => (limits(d).memory = '1 Gi')), 'memory: must match pattern'],
    [
      'a container port as text',
      deployment((d) => (container(d).ports[0].containerPort = '80')),
      'containerPort: must be integer',
    ],
    [
      'a port out of range',
      deployment((d) => (container(d).ports[0].containerPort = 70000)),
      'containerPort: must be <= 65535',
    ],
    [
      'a port name that is too long',
      deployment((d) => (container(d).ports[0].name = 'metrics-exporter-http')),
      'ports/0/name: must NOT have more than 15 characters',
    ],
    [
      'two environment variables of one name',
      deployment((d) => container(d).env.push({ name: 'MODE', value: 'b' })),
      'env: has two items with the same name',
    ],
    [
      'a port twice, once with the default protocol',
      deployment((d) => container(d).ports.push({ containerPort: 8080, protocol: 'TCP' })),
      'ports: has two items with the same containerPort and protocol',
    ],
    [
      'a wrong pull policy',
      deployment((d) => (container(d).imagePullPolicy = 'Sometimes')),
      'must be one of Always, IfNotPresent, Never, got "Sometimes"',
    ],
    [
      'a label that is a number',
      deployment((d) => (d.metadata.labels = { version: 1 })),
      '/metadata/labels/version: must be string',
    ],
    [
      'a label with a blank in it',
      deployment((d) => (d.metadata.labels = { team: 'data science' })),
      '/metadata/labels/team: must match pattern',
    ],
    [
      'a name in capitals',
      deployment((d) => (d.metadata.name = 'Web')),
      '/metadata/name: must match pattern',
    ],
    ['no name', deployment((d) => delete d.metadata.name), '/metadata/name: is missing'],
    [
      'a target port in quotes',
      service((s) => (s.spec.ports[0].targetPort = '8080')),
      'targetPort: must match',
    ],
    ['a service port that is missing', service((s) => delete s.spec.ports[0].port), "'port' is missing"],
    ['an object in a ConfigMap', configMap({ config: { a: 1 } }), '/data/config: must be string'],
    ['secret data that is not base64', secret('not base64!'), '/data/key: must match pattern'],
    [
      'a role reference without its API group',
      { ...clean('RoleBinding'), roleRef: { kind: 'Role', name: 'reader' } },
      "/roleRef: 'apiGroup' is missing",
    ],
    ['an access mode that does not exist', claim('ReadWriteTwice'), '/spec/accessModes/0: must be one of'],
    [
      'a kind that no schema covers',
      { apiVersion: 'apps/v1beta1', kind: 'Deployment' },
      'no schema for apps/v1beta1',
    ],
  ])('%s', (_defect, manifest, error) => {
    expect(validate(manifest)).toContainEqual(expect.stringContaining(error));
  });
});

describe('a custom resource is refused for', () => {
  test.each<[string, Json, string]>([
    [
      'a misspelt key',
      changed('ServiceMonitor', (m) => (m.spec.endpoints[0].intervall = '30s')),
      "/spec/endpoints/0: has no key 'intervall'",
    ],
    [
      'a duration without a unit',
      changed('ServiceMonitor', (m) => (m.spec.endpoints[0].interval = '30')),
      '/spec/endpoints/0/interval: must match pattern',
    ],
    [
      'a port number where its name belongs',
      changed('ServiceMonitor', (m) => (m.spec.endpoints[0].port = 8080)),
      '/spec/endpoints/0/port: must be string',
    ],
    [
      'a missing selector',
      changed('PodMonitor', (m) => delete m.spec.selector),
      "/spec: 'selector' is missing",
    ],
    [
      'a rule without an expression',
      changed('PrometheusRule', (r) => delete r.spec.groups[0].rules[0].expr),
      "/spec/groups/0/rules/0: 'expr' is missing",
    ],
    [
      'a severity that is a number',
      changed('PrometheusRule', (r) => (r.spec.groups[0].rules[0].labels.severity = 1)),
      '/labels/severity: must be string',
    ],
    [
      'two rule groups of one name',
      changed('PrometheusRule', (r) => r.spec.groups.push(r.spec.groups[0])),
      '/spec/groups: has two items with the same name',
    ],
    [
      'a retention without a unit',
      changed('Prometheus', (p) => (p.spec.retention = '15')),
      '/spec/retention: must match',
    ],
    [
      'a log level that does not exist',
      changed('Alertmanager', (a) => (a.spec.logLevel = 'trace')),
      '/spec/logLevel: must be one of',
    ],
    [
      'a bad quantity',
      changed('Prometheus', (p) => (p.spec.resources = { limits: { memory: '2GB' } })),
      '/spec/resources/limits/memory: must match pattern',
    ],
  ])('%s', (_defect, manifest, error) => {
    expect(validate(manifest)).toContainEqual(expect.stringContaining(error));
  });
});

describe('a PromQL expression', () => {
  test.each([
    ['sum by (le) (rate(nv_inference_request_success{model="$model"}[$__rate_interval])) > 0.5'],
    ['histogram_quantile(0.99, sum by (le, $group) (rate(latency_bucket[${window}])))'],
    ['up{job="a"} == 0 unless on (namespace) kube_namespace_labels offset 5m'],
    ['max_over_time((time() - job:last_success:max)[1h:1m])'],
    ['increase(errors_total[${__range_s}s]) / $__interval_ms'],
    ['topk($count, rate($metric[5m])) > bool ${threshold}'],
  ])('passes: %s', (expr) => {
    expect(promqlErrors(expr)).toEqual([]);
  });

  test.each([
    ['sum(rate(requests_total[5m])', 'at 28: unexpected end'],
    ['rate(requests_total[5mm])', "unexpected 'm'"],
    ['requests_total{code=500}', "at 20: unexpected '500'"],
    ['requests_total errors_total', "at 15: unexpected 'errors_total'"],
    ['ratee(requests_total[5m])', "at 5: unexpected '('"],
    ['sum(x) byy (code)', "unexpected 'byy'"],
    ['rate(requests_total)', 'rate() takes a range, got an instant vector'],
    ['sum(requests_total[5m])', 'sum() takes an instant vector, got a range'],
    ['requests_total{code=~"(5.."}', 'a broken regular expression'],
    ['count({})', 'a selector needs a name, or a label with a value'],
    ['histogram_quantile(latency_bucket)', 'takes a number, an instant vector, got an instant vector'],
    ['up and 1', "'and' joins instant vectors alone"],
    ['up * on (job) 2', 'labels are matched between instant vectors alone'],
    ['rate(up[5m])[1h]', 'a range of a result needs a step'],
    ['', 'unexpected end'],
  ])('is refused: %s', (expr, error) => {
    expect(promqlErrors(expr)).toContainEqual(expect.stringContaining(error));
  });

  test.each([
    ['rate(a_total{code="5"}[5m]) / on (job) group_left (team) b_total', ['a_total', 'b_total']],
    ['{__name__="c_total"} + {__name__=~"d|e", job="f"}', ['c_total', 'd', 'e']],
    ['{__name__=~"nv_.+"}', ['nv_.+']],
    ['job:latency:p99{model="${model}"} > ${threshold}', ['job:latency:p99']],
    ['label_replace(up, "a", "$1", "b", "(.*)") * time()', ['up']],
  ])('names the metrics it reads: %s', (expr, names) => {
    expect(metricNames(expr)).toEqual(names);
  });

  test.each([
    ['rate(a_total{code="5"}[5m]) / b_total', 'rate(a_total{code="5", x=""}[5m]) / b_total{x=""}'],
    ['up{} offset 5m unless on (job) {job="$job"}', 'up{x=""} offset 5m unless on (job) {job="$job", x=""}'],
    ['vector(1) > time()', 'vector(1) > time()'],
  ])('takes a matcher into each of its selectors: %s', (expr, narrowed) => {
    expect(withMatcher(expr, 'x=""')).toBe(narrowed);
  });

  test('that is malformed takes no matcher', () => {
    expect(() => withMatcher('rate(x[5m]', 'x=""')).toThrow("'rate(x[5m]' is no PromQL: at 10");
  });

  test('that is malformed has no metrics', () => {
    expect(() => metricNames('rate(x[5m]')).toThrow("'rate(x[5m]' is no PromQL: at 10: unexpected end");
  });
});

function deployment(change: (manifest: Json) => unknown): Json {
  return changed('Deployment', change);
}

function service(change: (manifest: Json) => unknown): Json {
  return changed('Service', change);
}

function configMap(data: Json): Json {
  return { ...clean('ConfigMap'), data };
}

function secret(key: string): Json {
  return { ...clean('Secret'), data: { key } };
}

function claim(accessMode: string): Json {
  return changed('PersistentVolumeClaim', (c) => (c.spec.accessModes = [accessMode]));
}

function container(manifest: Json): Json {
  return manifest.spec.template.spec.containers[0];
}

function limits(manifest: Json): Json {
  return container(manifest).resources.limits;
}

function changed(kind: string, change: (manifest: Json) => unknown): Json {
  const manifest = structuredClone(clean(kind));
  change(manifest);
  return manifest;
}

function clean(kind: string): Json {
  const found = cleanManifests().find((manifest) => manifest.kind === kind);
  if (!found) throw new Error(`no clean ${kind}`);
  return found;
}
