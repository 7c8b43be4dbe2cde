import { LABELS, PORTS, SIDECAR_PATHS } from '../../../lib/definitions/names';
import { PLATFORM_NAMESPACE } from '../../../lib/kubernetes/namespaces';
import { list, tryKubectl } from './kubectl';

/** State of one model, as a replica's sidecar reports it (docs/lifecycle.md). */
interface Served {
  readonly wanted: number | null;
  readonly serving: number | null;
  readonly refused: Readonly<Record<string, string>>;
}

const NAMESPACE = `--namespace=${PLATFORM_NAMESPACE}`;
const ASK =
  `import urllib.request as u; ` +
  `print(u.urlopen('http://localhost:${PORTS.sidecar}${SIDECAR_PATHS.status}', timeout=10).read().decode())`;

/** Names of the pipelines that the cluster has, sorted. */
export function appliedPipelines(): string[] {
  const labelled = list<{ metadata: { labels: Record<string, string> } }>(
    'configmaps',
    NAMESPACE,
    `--selector=${LABELS.pipeline}`,
  );
  return [...new Set(labelled.map(({ metadata }) => metadata.labels[LABELS.pipeline]!))].sort();
}

/** A line for each model: those of applied pipelines, and those that still serve. It names the version that serves. */
export function models(): string[] {
  const applied = appliedPipelines();
  const sidecar = ['deployment/triton', '--container=model-sync', '--', 'python3', '-c', ASK];
  const { status, stdout } = tryKubectl('exec', NAMESPACE, ...sidecar);
  if (status !== 0) return applied.map((name) => `${name}: not known, for Triton's sidecar does not answer`);
  const served = (JSON.parse(stdout) as { models: Record<string, Served> }).models;
  return [...new Set([...applied, ...Object.keys(served)])].sort().map((name) => {
    const gone = applied.includes(name) ? '' : '; its pipeline was taken out (docs/faq.md)';
    return `${name}: ${inWords(served[name])}${gone}`;
  });
}

/** @param model undefined where no version was ever deployed */
export function inWords(model: Served | undefined): string {
  if (!model || (model.wanted === null && model.serving === null))
    return 'no version yet: its newest run in Airflow says how far it is';
  const serves = model.serving === null ? 'none serves' : `version ${model.serving} serves`;
  if (model.wanted === model.serving) return serves;
  const why = model.refused[String(model.wanted)];
  return `${serves}; version ${model.wanted} is ${why === undefined ? 'on its way' : `refused: ${why}`}`;
}
