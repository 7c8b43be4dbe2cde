import { cluster } from './platform';
import { until } from './prometheus';

const STEPS = '--namespace=mlops-steps';

/**
 * Waits until the pod reaches MLflow, the object store and Triton. A pod may start before its NetworkPolicy is in force:
 * everything is open for a moment, then everything is shut, and then the policy's ports open for good.
 */
const REACHED = `
import os as _os, socket as _socket, time as _time
_time.sleep(3)
for _address in (_os.environ["AWS_ENDPOINT_URL_S3"], _os.environ["MLFLOW_TRACKING_URI"], _os.environ["TRITON_HTTP_URL"]):
    _host, _port = _address.rsplit("/", 1)[-1].split(":")
    for _ in range(60):
        try:
            _socket.create_connection((_host, int(_port)), timeout=5).close()
            break
        except OSError:
            _time.sleep(0.5)
`;

/** The command that runs the Python program which follows it, with the packages of the steps. */
const PYTHON = ['sh', '-c', 'export PYTHONPATH=/code; exec /environments/*/bin/python -c "$0" "$@"'];

/** The program of a pod in which `runInStep` runs others: it waits for SIGTERM. */
const WAITS = `
import signal as _signal
# The kernel drops a signal to process 1 that it neither handles nor blocks.
_signal.pthread_sigmask(_signal.SIG_BLOCK, {_signal.SIGTERM})
print("waits", flush=True)
_signal.sigwait({_signal.SIGTERM})
`;

interface StepSpec {
  readonly steps: {
    readonly pod: {
      readonly metadata: { readonly labels: Record<string, string> };
      readonly spec: {
        readonly containers: readonly [{ readonly volumeMounts: object[] }];
        readonly volumes: object[];
      };
    };
  };
}

interface Ended {
  readonly status: {
    readonly containerStatuses: readonly [
      { readonly state: { readonly terminated: { readonly exitCode: number } } },
    ];
  };
}

/**
 * Starts a Python program as a step of a pipeline runs: in the same pod, with the same
 * packages, as the same account and behind the same NetworkPolicy.
 */
export function startStep(pipeline: string, name: string, program: string, ...args: string[]): void {
  const { data } = cluster.get<{ data: { 'spec.json': string } }>(`configmap/pipeline-${pipeline}`, STEPS);
  const { pod } = (JSON.parse(data['spec.json']) as StepSpec).steps;
  const base = pod.spec.containers[0];
  const manifest = {
    ...pod,
    metadata: { ...pod.metadata, name, namespace: 'mlops-steps' },
    spec: {
      ...pod.spec,
      containers: [
        {
          ...base,
          command: [...PYTHON, REACHED + program],
          args,
          // Little is asked for: half a core must be left of two for the pipelines' trainings.
          resources: { requests: { cpu: '1m', memory: '64Mi' }, limits: { memory: '2Gi' } },
        },
      ],
    },
  };
  // A test that failed may have left a pod of this name.
  cluster.kubectl('delete', 'pod', name, STEPS, '--ignore-not-found', '--grace-period=0', '--force');
  const { status, output } = cluster.try(['create', '--filename', '-'], JSON.stringify(manifest));
  if (status !== 0) throw new Error(output);
}

/** Waits until a step ends, deletes its pod, and returns what it printed. @throws Error when it failed */
export function stepEnded(name: string, seconds = 900): string {
  const pod = `pod/${name}`;
  cluster.kubectl(
    'wait',
    STEPS,
    pod,
    '--for=jsonpath={.status.containerStatuses[0].state.terminated}',
    `--timeout=${seconds}s`,
  );
  // The exit code tells how it ended; the pod's phase would follow only a moment later.
  const { status } = cluster.get<Ended>(pod, STEPS);
  const { exitCode } = status.containerStatuses[0].state.terminated;
  const output = cluster.kubectl('logs', STEPS, pod);
  cluster.kubectl('delete', STEPS, pod);
  if (exitCode !== 0) throw new Error(`${name} ended with ${exitCode}:\n${output.slice(-4000)}`);
  return output;
}

/** Sends a step SIGTERM and waits for its end, as `stepEnded` does. @throws Error when it had ended before */
export function stepStopped(name: string): string {
  cluster.kubectl('exec', STEPS, name, '--', 'sh', '-c', 'kill -TERM 1');
  return stepEnded(name);
}

/** Starts a step that waits for the programs of `runInStep`, until `stepStopped`. */
export function startWaitingStep(pipeline: string, name: string): void {
  startStep(pipeline, name, WAITS);
  awaitLog(name, 'waits');
}

/** Waits up to two minutes until a step has printed a text. @throws when it has not. */
export function awaitLog(name: string, text: string): void {
  const log = until(
    () => cluster.try(['logs', STEPS, `pod/${name}`]).output,
    (output) => output.includes(text),
    120,
  );
  if (!log.includes(text)) throw new Error(`${name} has not printed '${text}':\n${log}`);
}

/** Runs a program in a waiting step, and returns what it printed. @throws when it fails. */
export function runInStep(name: string, program: string, ...args: string[]): string {
  return cluster.kubectl('exec', STEPS, name, '--', ...PYTHON, program, ...args);
}

/** The last line that a program printed, which is JSON, parsed. */
export function said<T>(log: string): T {
  return JSON.parse(log.trim().split('\n').at(-1)!) as T;
}
