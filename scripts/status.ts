/** `npm run status`: what runs, where to open it, and with which user. */
import { NODES_NAMESPACE, PLATFORM_NAMESPACE, STEPS_NAMESPACE } from '../lib/core/stage';
import { LOGIN_ANNOTATIONS } from '../lib/core/page';
import { list, run } from './platform/kubectl';
import { reason } from './platform/trouble';
import { workloads } from './platform/workloads';

interface Ingress {
  readonly metadata: { name: string; namespace: string; annotations?: Record<string, string> };
  readonly spec: { rules: { host: string }[]; tls?: unknown[] };
}

const OURS = '--selector=app.kubernetes.io/managed-by=mlops-lifecycle';

void run(() => {
  const found = workloads([PLATFORM_NAMESPACE, STEPS_NAMESPACE, NODES_NAMESPACE]);
  if (found.length === 0) return console.log("Nothing runs here yet: 'npm run deploy' applies it.");

  const ready = found.filter((workload) => workload.ready);
  console.log(`${ready.length} of ${found.length} workloads are ready.`);
  for (const workload of found.filter((candidate) => !candidate.ready)) {
    console.log(`  ${workload.title} ${workload.state}: ${reason(workload)}`);
  }

  console.log('\nPages, their users, and the line that prints a password:');
  for (const { metadata, spec } of list<Ingress>('ingresses', `--namespace=${PLATFORM_NAMESPACE}`, OURS)) {
    const annotations = metadata.annotations ?? {};
    console.log(
      `  ${spec.tls ? 'https' : 'http'}://${spec.rules[0]!.host}  ${annotations[LOGIN_ANNOTATIONS.user]}`,
    );
    console.log(
      `    kubectl -n ${metadata.namespace} get secret ${annotations[LOGIN_ANNOTATIONS.secret]} ` +
        `-o jsonpath='{.data.${annotations[LOGIN_ANNOTATIONS.key]}}' | base64 -d; echo`,
    );
  }
});
