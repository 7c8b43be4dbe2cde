import { setTimeout as sleep } from 'node:timers/promises';
import { FILES, LABELS, STEPS } from '../../../lib/definitions/names';
import { PLATFORM_NAMESPACE, STEPS_NAMESPACE } from '../../../lib/kubernetes/namespaces';
import { Failure } from '../../command';
import { kubectl, send, tryKubectl } from './kubectl';
import { appliedPipelines } from './models';

/** The part of a pipeline's spec.json that says how its steps run. */
export interface Spec {
  readonly collection: {
    /** Variables for a step that reads the source. */
    readonly env?: readonly object[];
  };
  readonly steps: {
    readonly resources: object;
    readonly pod: {
      readonly metadata: { readonly labels: Record<string, string> };
      readonly spec: { readonly containers: readonly [{ readonly env: readonly object[] }] };
    };
  };
}

/** What is to run. */
export interface Step {
  readonly pipeline: string;
  readonly spec: Spec;
  /** `rollback`. */
  readonly name: string;
  /** @default - none but those that every step has */
  readonly args?: readonly string[];
  /** Whether the step reads the pipeline's source, as `collect` does. @default false */
  readonly asksSource?: boolean;
  /** Stops the step when it is aborted. @default - the step runs to its end */
  readonly signal?: AbortSignal;
}

const SECONDS_BETWEEN_LOOKS = 1;

/**
 * The only positional argument of a command line, a pipeline.
 * @throws Failure with the usage where there is not one.
 */
export function oneOf(positionals: readonly string[], usage: string): string {
  const [pipeline] = positionals;
  if (pipeline !== undefined && positionals.length === 1) return pipeline;
  // Without ' -- ' npm takes options for its own, and passes only their values on.
  const got = pipeline === undefined ? '' : `, got ${positionals.join(', ')}; options stand behind ' -- '`;
  throw new Failure(`name one pipeline${got}\n\n${usage}`);
}

/** The spec of a pipeline in the cluster. @throws Failure where the cluster has no such pipeline. */
export function specOf(pipeline: string): Spec {
  const found = tryKubectl(
    'get',
    `configmap/pipeline-${pipeline}`,
    `--namespace=${PLATFORM_NAMESPACE}`,
    `--output=jsonpath={.data.${FILES.spec.replace('.', '\\.')}}`,
  );
  if (found.status !== 0) {
    const names = appliedPipelines().join(' ');
    const why = found.stderr.includes('(NotFound)') ? '' : `\n${found.stderr.trim()}`;
    throw new Failure(`the cluster has no pipeline '${pipeline}'; it has ${names || 'none'}${why}`);
  }
  return JSON.parse(found.stdout) as Spec;
}

/**
 * Runs a step in a pod of its own, shows its log meanwhile, and removes the pod.
 * @returns the phase in which it ended, `Succeeded` or `Failed`.
 * @throws Failure where the signal is aborted before the step has ended.
 */
export async function runStep(step: Step): Promise<string> {
  const pod = stepPod(step, Date.now());
  const name = `pod/${pod.metadata.name}`;
  send(['create'], [pod]);
  try {
    return await shownToItsEnd(name, step.signal);
  } finally {
    // A step that the user may stop needs no time to end.
    const soon = step.signal ? ['--now'] : [];
    tryKubectl('delete', name, `--namespace=${STEPS_NAMESPACE}`, '--wait=false', ...soon);
  }
}

/** A step pod as Airflow would make it. */
function stepPod({ pipeline, spec, name, args = [], asksSource = false }: Step, now: number) {
  const { pod, resources } = spec.steps;
  const [container] = pod.spec.containers;
  const source = asksSource ? (spec.collection.env ?? []) : [];
  const run = `${name}-${now}`;
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      name: `${pipeline}-${run}`,
      // The NetworkPolicy that opens a source database selects pods with the label of `collect`.
      labels: { ...pod.metadata.labels, [LABELS.step]: asksSource ? STEPS.run.collect : name },
    },
    spec: {
      ...pod.spec,
      containers: [
        {
          ...container,
          args: ['lifecycle', name, '--pipeline', pipeline, '--run', run, ...args],
          env: [...container.env, ...source],
          resources,
        },
      ],
    },
  };
}

async function shownToItsEnd(name: string, signal: AbortSignal | undefined): Promise<string> {
  const log = ['logs', name, `--namespace=${STEPS_NAMESPACE}`];
  let shown = 0;
  for (;;) {
    if (signal?.aborted) throw new Failure('stopped before its end');
    const phase = kubectl('get', name, `--namespace=${STEPS_NAMESPACE}`, '--output=jsonpath={.status.phase}');
    const ended = phase === 'Succeeded' || phase === 'Failed';
    // There is no log before the container has started.
    const said = ended ? kubectl(...log) : tryKubectl(...log).stdout;
    process.stdout.write(said.slice(shown));
    shown = Math.max(shown, said.length);
    if (ended) return phase;
    await sleep(SECONDS_BETWEEN_LOOKS * 1000);
  }
}
