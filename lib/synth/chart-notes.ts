import type { Monitoring } from '../monitoring/monitoring';
import type { Manifest } from '../validation/manifests';
import { PAGE_ANNOTATIONS } from '../kubernetes/ingress';
import { PLATFORM_NAMESPACE } from '../kubernetes/namespaces';

/** A template that refuses an install that could not work, before Helm creates an object. */
export function refusals(): string {
  return `{{ if ne .Release.Namespace "${PLATFORM_NAMESPACE}" }}
{{ fail "the chart goes into one namespace only: add --namespace ${PLATFORM_NAMESPACE} --create-namespace" }}
{{ end }}
{{ if .Values }}
{{ fail "the chart has no values: change the environment in TypeScript, and write it again with npm run chart" }}
{{ end }}
`;
}

/** What Helm says after an install and after an upgrade. */
export function notes(
  environment: string,
  objects: readonly Manifest[],
  { bringsDefinitions }: Pick<Monitoring, 'bringsDefinitions'>,
): string {
  const rest = bringsDefinitions
    ? '\n  What stays then is the definitions of monitoring.coreos.com, which others in the cluster may use.'
    : '';
  return `
mlops-platform (${environment}) starts now. The first time it fetches several gigabytes of images; watch it with

  kubectl --namespace ${PLATFORM_NAMESPACE} get pods --watch

Then these pages open; 'npm run status' says where their passwords are:

${pages(objects)
  .map((page) => `  ${page}\n`)
  .join('')}
To change it:    npm run chart -- ${environment} && helm upgrade mlops-platform chart/mlops-platform --namespace ${PLATFORM_NAMESPACE}
To remove it:    helm uninstall mlops-platform --namespace ${PLATFORM_NAMESPACE} --wait
  What stays is all data, metrics included, and every generated password.
To remove that:  kubectl delete namespace ${PLATFORM_NAMESPACE}${rest}
`;
}

function pages(objects: readonly Manifest[]): string[] {
  return objects
    .filter(({ kind }) => kind === 'Ingress')
    .map(({ metadata }) => metadata.annotations![PAGE_ANNOTATIONS.url]!)
    .sort();
}
