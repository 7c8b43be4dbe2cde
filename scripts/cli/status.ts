/** `npm run status`: prints what runs, which versions serve, and where the pages and their passwords are. */
import { parseArgs } from 'node:util';
import { NAMESPACES, PLATFORM_NAMESPACE } from '../../lib/kubernetes/namespaces';
import { PAGE_ANNOTATIONS } from '../../lib/kubernetes/ingress';
import { firingAlerts } from './platform/alerts';
import { run } from '../command';
import { runningEnvironment } from './platform/environments';
import { list } from './platform/kubectl';
import { models } from './platform/models';
import { reason } from './platform/trouble';
import { workloads } from './platform/workloads';

interface Ingress {
  readonly metadata: { name: string; namespace: string; annotations?: Record<string, string> };
  readonly spec: { rules: { host: string }[]; tls?: unknown[] };
}

const HELP = `usage: npm run status

Says what runs, what each workload waits for that does not, which version of each
model serves, which alerts fire, and where the pages are.

KUBECTL names another kubectl, with leading arguments: KUBECTL='k3s kubectl'.`;

const OURS = '--selector=app.kubernetes.io/managed-by=mlops-lifecycle';

void run(() => {
  const { values } = parseArgs({ options: { help: { type: 'boolean', short: 'h', default: false } } });
  if (values.help) return console.log(HELP);

  const found = workloads(NAMESPACES);
  if (found.length === 0) return console.log("Nothing runs here yet: 'npm run deploy' applies it.");

  const running = runningEnvironment();
  console.log(
    typeof running === 'object'
      ? `The cluster runs '${running.name}'.`
      : "The cluster does not say which environment it runs; the next 'npm run deploy -- ENVIRONMENT' names it.",
  );
  const ready = found.filter((workload) => workload.ready);
  console.log(`${ready.length} of ${found.length} workloads are ready.`);
  for (const workload of found.filter((candidate) => !candidate.ready)) {
    console.log(`  ${workload.title} ${workload.state}: ${reason(workload)}`);
  }

  console.log('\nModels:');
  for (const line of models()) console.log(`  ${line}`);

  console.log('\nAlerts that fire:');
  for (const line of firingAlerts()) console.log(`  ${line}`);

  console.log('\nPages, their users, and the line that prints a password:');
  for (const { metadata, spec } of list<Ingress>('ingresses', `--namespace=${PLATFORM_NAMESPACE}`, OURS)) {
    const annotations = metadata.annotations ?? {};
    // An Ingress that an earlier release applied has no URL.
    const url =
      annotations[PAGE_ANNOTATIONS.url] ?? `${spec.tls ? 'https' : 'http'}://${spec.rules[0]!.host}`;
    console.log(`  ${url}  ${annotations[PAGE_ANNOTATIONS.user]}`);
    console.log(
      `    kubectl -n ${metadata.namespace} get secret ${annotations[PAGE_ANNOTATIONS.secret]} ` +
        `-o jsonpath='{.data.${annotations[PAGE_ANNOTATIONS.key]}}' | base64 -d; echo`,
    );
  }
});
