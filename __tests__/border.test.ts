import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Ajv from 'ajv';
import names from '../contract/names.json';
import { SPEC_SCHEMA, specSchema } from '../scripts/generate/contract';
import { DIST } from '../scripts/cli/platform/manifests';
import { ENVIRONMENTS, filesOf, objectsOf } from './support/dist';

const ROOT = join(__dirname, '..');
const schema = readFileSync(SPEC_SCHEMA, 'utf8');
const lifecycle = readFileSync(join(ROOT, 'docs/lifecycle.md'), 'utf8');

describe('contract/spec.schema.json', () => {
  test('is what `npm run contract` writes', () => expect(schema).toBe(specSchema()));

  const specs = ENVIRONMENTS.flatMap((environment) =>
    objectsOf(environment)
      .filter(({ kind, data }) => kind === 'ConfigMap' && names.files.spec in (data as object))
      .map(({ metadata, data }) => ({
        name: `${environment}/${metadata.namespace}/${metadata.name}`,
        spec: JSON.parse((data as Record<string, string>)[names.files.spec]!) as object,
      })),
  );

  test('dist has specs to hold against it', () => expect(specs.length).toBeGreaterThanOrEqual(6));

  test.each(specs)('accepts $name', ({ spec }) => {
    const validate = new Ajv({ allErrors: true }).compile(JSON.parse(schema) as object);
    validate(spec);
    expect(validate.errors ?? []).toEqual([]);
  });
});

describe('docs/lifecycle.md says the same as contract/names.json of', () => {
  test('the steps, in their order', () => {
    expect(table('step', 'reads').flatMap(([step]) => quoted(step!))).toEqual([
      ...Object.values(names.steps.run),
      ...Object.values(names.steps.alone),
    ]);
  });

  test('the exit codes, and how the last line of a log begins', () => {
    const documented = table('exit code', 'means')
      .filter(([, means]) => /last line/.test(means!))
      .map(([code, means]) => ({ code: Number(code), word: /begins `(\w+):`/.exec(means!)?.[1] }));
    expect(documented).toEqual(Object.values(names.exits));
  });

  test('the metrics and their labels', () => {
    const documented = table('metric', 'kind').flatMap(([metrics, , labels]) =>
      quoted(metrics!).map((name) => ({ name, labels: labels!.match(/\w+(?![^(]*\))/g) ?? [] })),
    );
    expect(byName(documented)).toEqual(byName(Object.values(names.metrics)));
    for (const kind of Object.values(names.binKinds)) expect(lifecycle).toContain(`\`kind="${kind}"\``);
  });

  test('the alerts that start a retraining, which are the first of a model’s alerts', () => {
    const documented = quoted(/^Recording rules.*Alerts: (.*)$/m.exec(lifecycle)![1]!);
    const retraining = Object.values(names.alerts);
    expect(documented.slice(0, retraining.length)).toEqual(retraining);
    for (const alert of retraining)
      expect(existsSync(join(ROOT, `docs/runbooks/${alert}.md`)) && alert).toBe(alert);
  });

  test('the aliases, the default of traceOneIn, and the port and the paths of the sidecar', () => {
    expect(quoted(/Aliases: (.*?)\. /.exec(lifecycle)![1]!)).toEqual(Object.values(names.aliases));
    expect(lifecycle).toContain(
      `One request in \`traceOneIn\` is sampled (${names.defaults.traceOneIn} where`,
    );
    expect(lifecycle).toContain(`in every Triton pod, port ${names.ports.sidecar}.`);
    for (const path of Object.values(names.paths)) expect(lifecycle).toContain(`- \`GET ${path}\`: `);
  });

  test('the periods that a batch may have', () => {
    const documented = quoted(/\(a period: (.*?), in UTC\)/.exec(lifecycle)![1]!);
    expect(documented.map((batch) => patternsOf(batch))).toEqual(
      Object.keys(names.periods).map((name) => [name]),
    );
  });

  test('the label by which a runbook selects a pipeline', () => {
    const runbook = readFileSync(join(ROOT, 'docs/runbooks/ModelDataStale.md'), 'utf8');
    expect(runbook).toContain(`get configmap -l ${names.labels.pipeline}\n`);
  });
});

test('no rule and no dashboard uses a label that the sidecar’s metric does not have', () => {
  const labels = new Map<string, string[]>(
    Object.values(names.metrics).map((each) => [each.name, each.labels]),
  );
  const all = new Set([...labels.values()].flat().concat('pod', names.monitoredNamespaceLabel));
  const lines = Object.values(filesOf(DIST))
    .flatMap((text) => text.split('\n'))
    .filter((line) => /\bmlops_\w/.test(line) && /\bby\b|\bon\b|\{/.test(line));
  expect(lines.length).toBeGreaterThan(30);
  const wrong = lines.flatMap((line) => [
    ...[...line.matchAll(/\b(mlops_\w+)\{([^}]*)\}/g)].flatMap(([asked, metric, matchers]) =>
      [...matchers!.matchAll(/(\w+)\s*(?:=|!)/g)]
        .filter(
          ([, label]) => ![...(labels.get(metric!) ?? []), names.monitoredNamespaceLabel].includes(label!),
        )
        .map(([, label]) => `${asked}: ${label}`),
    ),
    ...[...line.matchAll(/\b(?:by|on|group_left) \(([^)]*)\)/g)].flatMap(([asked, list]) =>
      (list!.match(/\w+/g) ?? []).filter((label) => !all.has(label)).map((label) => `${asked}: ${label}`),
    ),
  ]);
  expect([...new Set(wrong)]).toEqual([]);
});

/**
 * Literals that no code may have, because contract/names.json has them for both languages. `where` matches the paths
 * that are searched.
 */
const LITERALS: Record<string, { pattern: RegExp; where: RegExp }> = {
  'a metric': { pattern: /\bmlops_[a-z]/, where: /./ },
  'a label or the API version': {
    pattern:
      /["'`]mlops-lifecycle\/(?!model-clients|config|login-|page-|environment|monitored['"`]|custom-resources)/,
    where: /./,
  },
  'an alert that retrains': {
    pattern: new RegExp(`\\b(${Object.values(names.alerts).join('|')})\\b(?!\\.md)`),
    where: /^(lib|python)/,
  },
  'an environment variable': {
    pattern: new RegExp(`\\b(${Object.values(names.environment).join('|')})\\b`),
    where: /./,
  },
  'a port': { pattern: new RegExp(`\\b(${Object.values(names.ports).join('|')})\\b`), where: /./ },
  'a path of the sidecar': {
    pattern: new RegExp(`["'\`](${Object.values(names.paths).join('|')})["'\`]`),
    where: /./,
  },
  'an exit code': {
    pattern: new RegExp(
      `(?<![\\w.])(${Object.values(names.exits)
        .map(({ code }) => code)
        .join('|')})(?![\\w.])`,
    ),
    where: /^python/,
  },
  'how a last line begins': {
    pattern: new RegExp(
      `["'\`](${Object.values(names.exits)
        .map(({ word }) => word)
        .join('|')}):`,
    ),
    where: /./,
  },
  'a step': {
    // In lifecycle/steps/ and the sidecar they are also names of objects in the store.
    pattern: new RegExp(
      `["'\`](steps\\.)?(${[...Object.values(names.steps.run), ...Object.values(names.steps.alone)].join('|')})["'\`]`,
    ),
    where: /^(lib|scripts|python\/(airflow|programs|lifecycle\/(?!names)[^/]*$))/,
  },
  'an alias': { pattern: /alias\w*\(\s*["'`]/, where: /^python/ },
  'a kind of bin': { pattern: /kind\\?=\\?"(feature|prediction)/, where: /./ },
  'a file of both sides': {
    pattern: new RegExp(`["'\`](${Object.values(names.files).join('|').replaceAll('.', '\\.')})["'\`]`),
    where: /^(lib|scripts|python)/,
  },
  'a default': { pattern: /traceOneIn.*(default\(|, 1, )\d/, where: /^(lib|python)/ },
};

const code = ['lib', 'scripts', 'python/airflow', 'python/lifecycle', 'python/programs'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => `${folder}/${file}`)
    .filter((file) => /\.(ts|py)$/.test(file)),
);

test('the code of both languages is found', () => expect(code.length).toBeGreaterThan(150));

test.each(Object.entries(LITERALS))('no code spells out %s', (_, { pattern, where }) => {
  const found = code
    .filter((file) => where.test(file))
    .flatMap((file) =>
      readFileSync(join(ROOT, file), 'utf8')
        .split('\n')
        .map((line, index) => ({ line: withoutComment(line, file), place: `${file}:${index + 1}` })),
    )
    .filter(({ line }) => pattern.test(line))
    .map(({ line, place }) => `${place}: ${line.trim()}`);
  expect(found).toEqual([]);
});

/** A line without its comment and, in Python, without quotations in backticks, which only docstrings have. */
function withoutComment(line: string, file: string): string {
  const code = line.replace(/^\s*(\*|\/\/|\/\*|#).*/, '');
  return file.endsWith('.py') ? code.replace(/`[^`]*`/g, '') : code;
}

/** The rows of the table of docs/lifecycle.md whose first two columns have these titles. */
function table(first: string, second: string): string[][] {
  const lines = lifecycle.split('\n');
  const head = lines.findIndex((line) => line.startsWith(`| ${first} | ${second} |`));
  const end = lines.findIndex((line, index) => index > head && !line.startsWith('|'));
  return lines.slice(head + 2, end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

function quoted(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
}

function byName(list: { name: string; labels: string[] }[]): string[] {
  return list.map(({ name, labels }) => `${name} (${labels.join(', ')})`).sort();
}

function patternsOf(batch: string): string[] {
  return Object.entries(names.periods)
    .filter(([, pattern]) => new RegExp(`^${pattern}$`).test(batch))
    .map(([name]) => name);
}
