/** `npm run rollback PIPELINE`: the version that served before serves again, without Airflow. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { PLATFORM_NAMESPACE, STEPS_NAMESPACE } from '../lib/core/stage';
import { create, Failure, kubectl, run, tryKubectl } from './platform/kubectl';

const HELP = `usage: npm run rollback PIPELINE

Puts the version that served before back, on every replica, with the checks of
a deployment; a version that fails them changes nothing. Run it again, and the
newer version is back.

KUBECTL names another kubectl, with leading arguments: KUBECTL='k3s kubectl'.`;

const SECONDS_BETWEEN_LOOKS = 1;

/** A pipeline's spec, as far as it says how its steps run. */
interface Spec {
  readonly steps: {
    readonly resources: object;
    readonly pod: {
      readonly metadata: { readonly labels: Record<string, string> };
      readonly spec: { readonly containers: readonly [object] };
    };
  };
}

void run(async () => {
  const { values, positionals } = parseArgs({
    options: { help: { type: 'boolean', short: 'h', default: false } },
    allowPositionals: true,
  });
  const [pipeline] = positionals;
  if (values.help) return console.log(HELP);
  if (!pipeline || positionals.length > 1) throw new Failure(`name one pipeline\n\n${HELP}`);

  const pod = rollbackPod(pipeline, specOf(pipeline), Date.now());
  const name = `pod/${pod.metadata.name}`;
  create(pod);
  try {
    const phase = await ended(name);
    console.log(kubectl('logs', name, `--namespace=${STEPS_NAMESPACE}`).trim());
    if (phase !== 'Succeeded')
      throw new Failure(`${pipeline} serves what it served: the rollback ended as ${phase}`);
  } finally {
    tryKubectl('delete', name, `--namespace=${STEPS_NAMESPACE}`, '--wait=false');
  }
});

/** @throws Failure when the cluster has no such pipeline. */
function specOf(pipeline: string): Spec {
  const found = tryKubectl(
    'get',
    `configmap/pipeline-${pipeline}`,
    `--namespace=${PLATFORM_NAMESPACE}`,
    '--output=jsonpath={.data.spec\\.json}',
  );
  if (found.status !== 0) {
    const names = kubectl(
      'get',
      'configmap',
      `--namespace=${PLATFORM_NAMESPACE}`,
      '--selector=mlops-lifecycle/pipeline',
      '--output=jsonpath={.items[*].metadata.labels.mlops-lifecycle/pipeline}',
    );
    throw new Failure(
      `the cluster has no pipeline '${pipeline}'; it has ${names || 'none'}\n${found.stderr.trim()}`,
    );
  }
  return JSON.parse(found.stdout) as Spec;
}

/** A step pod as Airflow would make it. */
function rollbackPod(pipeline: string, { steps }: Spec, now: number) {
  const { pod, resources } = steps;
  const run = `rollback-${now}`;
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      name: `${pipeline}-${run}`,
      labels: { ...pod.metadata.labels, 'mlops-lifecycle/step': 'rollback' },
    },
    spec: {
      ...pod.spec,
      containers: [
        {
          ...pod.spec.containers[0],
          args: ['lifecycle', 'rollback', '--pipeline', pipeline, '--run', run],
          resources,
        },
      ],
    },
  };
}

async function ended(name: string): Promise<string> {
  for (;;) {
    const phase = kubectl('get', name, `--namespace=${STEPS_NAMESPACE}`, '--output=jsonpath={.status.phase}');
    if (phase === 'Succeeded' || phase === 'Failed') return phase;
    await sleep(SECONDS_BETWEEN_LOOKS * 1000);
  }
}
