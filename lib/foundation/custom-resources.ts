import type { Construct } from 'constructs';
import { images } from '../kubernetes/images';
import { commandProbe } from '../kubernetes/probe';
import { pythonFile } from '../kubernetes/program';
import { NAMESPACES, PLATFORM_NAMESPACE } from '../kubernetes/namespaces';
import { ConfigFiles, emptyDir } from '../kubernetes/volume';
import { Workload } from '../kubernetes/workload';
import { CUSTOM_RESOURCES, customResourceKey } from '../kubernetes/custom-resource';

const READY_FILE = '/tmp/ready';

/**
 * Applies the custom resources that travel in ConfigMaps: beside their own
 * definitions in one `kubectl apply` they would fail on every fresh cluster.
 */
export function customResources(scope: Construct): Workload {
  const program = new ConfigFiles(scope, 'custom-resources-program', {
    name: 'custom-resources-program',
    files: {
      'apply_custom_resources.py': pythonFile('programs/apply_custom_resources.py'),
      'kubernetes_api.py': pythonFile('programs/kubernetes_api.py'),
    },
  });
  const { group, plurals } = CUSTOM_RESOURCES;
  const kinds = Object.values(plurals).flatMap((plural) =>
    NAMESPACES.map((namespace) => customResourceKey({ plural, namespace, name: 'any' })),
  );
  return new Workload(scope, 'custom-resources', {
    name: 'custom-resources',
    system: 'mlops-platform',
    component: 'custom-resources',
    image: images.python,
    user: { uid: 65532, gid: 65532 },
    strategy: 'Recreate',
    command: ['python3', '/program/apply_custom_resources.py', PLATFORM_NAMESPACE, READY_FILE, ...kinds],
    cpu: { request: '10m' },
    memory: { request: '32Mi', limit: '128Mi' },
    mounts: [program.mountAt('/program'), emptyDir('tmp', '/tmp', '16Mi')],
    readinessProbe: commandProbe(['test', '-e', READY_FILE], { periodSeconds: 5 }),
    terminationGracePeriodSeconds: 5,
    grants: NAMESPACES.map((namespace) => ({
      namespace,
      rules: [
        {
          apiGroups: [group],
          resources: Object.values(plurals),
          verbs: ['create', 'delete', 'get', 'list', 'patch'],
        },
        ...(namespace === PLATFORM_NAMESPACE
          ? [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }]
          : []),
      ],
    })),
  });
}
