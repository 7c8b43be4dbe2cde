import { App } from 'cdk8s';
import { Construct } from 'constructs';
import type { Manifest } from '../validation/manifests';
import { images } from '../kubernetes/images';
import { pythonFile } from '../kubernetes/program';
import { ManifestFile } from '../kubernetes/manifest-file';
import { NONROOT } from '../kubernetes/pod-defaults';
import { PLATFORM_NAMESPACE } from '../kubernetes/namespaces';
import { ConfigFiles } from '../kubernetes/volume';
import { Workload } from '../kubernetes/workload';

/**
 * A Job that labels the release's own namespace, with Pod Security's labels among others. Helm creates that namespace
 * without labels (`--create-namespace`), and refuses a chart that contains it too: docs/decisions/0004.
 */
export function namespaceLabels(namespace: Manifest): Manifest[] {
  const file = new ManifestFile(new App({ outdir: 'unused' }), 'namespace', { file: '05-namespace' });
  new NamespaceLabels(file, 'labels', namespace.metadata.labels ?? {});
  return file.toJson() as Manifest[];
}

class NamespaceLabels extends Construct {
  constructor(scope: Construct, id: string, labels: Readonly<Record<string, string>>) {
    super(scope, id);
    const program = new ConfigFiles(this, 'program', {
      name: 'label-namespace',
      files: {
        'label_namespace.py': PROGRAM,
        'kubernetes_api.py': pythonFile('programs/kubernetes_api.py'),
        'labels.json': `${JSON.stringify({ metadata: { labels } }, null, 2)}\n`,
      },
    });
    new Workload(this, 'job', {
      name: 'label-namespace',
      system: 'mlops-platform',
      component: 'label-namespace',
      kind: 'Job',
      image: images.python,
      user: NONROOT,
      command: ['python3', '/program/label_namespace.py', PLATFORM_NAMESPACE, '/program/labels.json'],
      cpu: { request: '10m' },
      memory: { request: '32Mi', limit: '128Mi' },
      mounts: [program.mountAt('/program')],
      // A Role in the namespace is enough: the API server treats a namespace as an object within itself.
      grants: [
        {
          namespace: PLATFORM_NAMESPACE,
          rules: [
            {
              apiGroups: [''],
              resources: ['namespaces'],
              resourceNames: [PLATFORM_NAMESPACE],
              verbs: ['patch'],
            },
          ],
        },
      ],
    });
  }
}

const PROGRAM = `"""Gives a namespace the labels of a file; the Job tries again where that fails."""

import sys
from pathlib import Path

from kubernetes_api import Request, api_server

namespace, labels = sys.argv[1:]
patch = Request("PATCH", f"/api/v1/namespaces/{namespace}", Path(labels).read_text(), "application/merge-patch+json")
answer = api_server()(patch)
if answer.status != 200:
    sys.exit(f"namespace {namespace} is not labelled: {answer.reason}")
`;
