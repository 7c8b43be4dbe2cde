import { CLUSTER_SCOPED, STEPS_NAMESPACE } from '../kubernetes/namespaces';
import { type Manifest, matches, type Pod, podsOf, title } from './manifests';

/** A Secret that exists once the platform runs: generated in the cluster, or declared external. */
export interface KnownSecret {
  /** Absent for an external Secret, which the user creates in each namespace that refers to it. */
  readonly namespace?: string;
  readonly name: string;
  readonly keys: readonly string[];
}

/** Faults of references: a pod, monitor, binding or NetworkPolicy names an object or a key that does not exist. */
export function checkReferences(
  manifests: readonly Manifest[],
  secrets: readonly KnownSecret[],
  otherNamespaces: readonly string[] = [],
): string[] {
  const index = new Set([
    ...manifests.map(({ kind, metadata }) => key(kind, metadata.namespace, metadata.name)),
    ...otherNamespaces.map((name) => key('Namespace', undefined, name)),
  ]);
  const pods = podsOf(manifests);
  return [
    ...pods.flatMap((pod) => [...checkPod(pod, manifests, index), ...checkPodSecrets(pod, secrets)]),
    ...manifests.flatMap((manifest) => [
      ...checkNamespace(manifest, index),
      ...checkBinding(manifest, index),
      ...checkMonitorSecrets(manifest, secrets),
      ...checkNetworkPolicy(manifest, pods),
      ...checkIngressSecret(manifest, secrets),
    ]),
  ];
}

function key(kind: string, namespace: string | undefined, name: string): string {
  return `${kind} ${namespace ?? ''}/${name}`;
}

function checkPod(pod: Pod, manifests: readonly Manifest[], index: ReadonlySet<string>): string[] {
  const problems: string[] = [];
  const account = pod.spec.serviceAccountName;
  if (account && !index.has(key('ServiceAccount', pod.namespace, account))) {
    problems.push(
      `${pod.owner}: runs as ServiceAccount '${account}', which does not exist in ${pod.namespace}`,
    );
  }
  const volumes: {
    name: string;
    configMap?: { name: string };
    persistentVolumeClaim?: { claimName: string };
  }[] = pod.spec.volumes ?? [];
  for (const volume of pod.containers.length > 0 ? volumes : []) {
    const map = volume.configMap?.name;
    const claim = volume.persistentVolumeClaim?.claimName;
    if (map && !index.has(key('ConfigMap', pod.namespace, map))) {
      problems.push(`${pod.owner}: mounts ConfigMap '${map}', which does not exist in ${pod.namespace}`);
    }
    if (claim && !index.has(key('PersistentVolumeClaim', pod.namespace, claim))) {
      problems.push(
        `${pod.owner}: mounts PersistentVolumeClaim '${claim}', which does not exist in ${pod.namespace}`,
      );
    }
  }
  for (const container of [...pod.initContainers, ...pod.containers]) {
    for (const mount of container.volumeMounts ?? []) {
      if (!volumes.some(({ name }) => name === mount.name)) {
        problems.push(
          `${pod.owner}: container '${container.name}' mounts volume '${mount.name}', which the pod does not have`,
        );
      }
    }
    for (const { configMapRef } of container.envFrom ?? []) {
      if (configMapRef && !index.has(key('ConfigMap', pod.namespace, configMapRef.name))) {
        problems.push(
          `${pod.owner}: reads ConfigMap '${configMapRef.name}', which does not exist in ${pod.namespace}`,
        );
      }
    }
    for (const { name, valueFrom } of container.env ?? []) {
      const reference = valueFrom?.configMapKeyRef;
      if (!reference) continue;
      const map = manifests.find(
        ({ kind, metadata }) =>
          kind === 'ConfigMap' && metadata.name === reference.name && metadata.namespace === pod.namespace,
      );
      if (!(reference.key in (map?.data ?? {}))) {
        problems.push(
          `${pod.owner}: ${name} wants key '${reference.key}' of ConfigMap '${reference.name}', which does not exist`,
        );
      }
    }
  }
  return problems;
}

function checkPodSecrets(pod: Pod, secrets: readonly KnownSecret[]): string[] {
  const volumes: { name: string; secret?: { secretName: string; items?: { key: string }[] } }[] =
    pod.containers.length > 0 ? (pod.spec.volumes ?? []) : [];
  return [
    ...volumes.flatMap(({ name, secret }) =>
      secret
        ? (secret.items ?? [{ key: undefined }]).flatMap(({ key }) =>
            missing(
              `${pod.owner}: volume '${name}'`,
              { name: secret.secretName, key },
              pod.namespace,
              secrets,
            ),
          )
        : [],
    ),
    ...[...pod.initContainers, ...pod.containers].flatMap(({ name: container, env, envFrom }) => [
      ...(envFrom ?? []).flatMap(({ secretRef }) =>
        secretRef ? missing(`${pod.owner}: container '${container}'`, secretRef, pod.namespace, secrets) : [],
      ),
      ...(env ?? []).flatMap(({ name, valueFrom }) =>
        valueFrom?.secretKeyRef
          ? missing(`${pod.owner}: ${name}`, valueFrom.secretKeyRef, pod.namespace, secrets)
          : [],
      ),
    ]),
  ];
}

function checkMonitorSecrets(manifest: Manifest, secrets: readonly KnownSecret[]): string[] {
  const endpoints: { basicAuth?: Record<string, { name: string; key: string }> }[] =
    manifest.spec?.endpoints ?? manifest.spec?.podMetricsEndpoints ?? [];
  return endpoints.flatMap(({ basicAuth }) =>
    Object.entries(basicAuth ?? {}).flatMap(([part, reference]) =>
      missing(`${title(manifest)}: basicAuth.${part}`, reference, manifest.metadata.namespace!, secrets),
    ),
  );
}

function checkIngressSecret(manifest: Manifest, secrets: readonly KnownSecret[]): string[] {
  if (manifest.kind !== 'Ingress') return [];
  return ((manifest.spec.tls ?? []) as { secretName: string }[]).flatMap(({ secretName }) =>
    missing(
      `${title(manifest)}: tls`,
      { name: secretName, key: 'tls.crt' },
      manifest.metadata.namespace!,
      secrets,
    ),
  );
}

/** Where a reference leads to no Secret or key. Without a key it is to the whole Secret. */
function missing(
  who: string,
  reference: { name: string; key?: string },
  namespace: string,
  secrets: readonly KnownSecret[],
): string[] {
  const secret = secrets.find(
    (candidate) => candidate.name === reference.name && (candidate.namespace ?? namespace) === namespace,
  );
  if (!secret) {
    return [
      `${who} wants Secret '${reference.name}' in ${namespace}, which is neither generated nor declared external`,
    ];
  }
  if (reference.key === undefined || secret.keys.includes(reference.key)) return [];
  return [
    `${who} wants key '${reference.key}' of Secret '${reference.name}', which has ${secret.keys.join(', ')}`,
  ];
}

function checkNamespace(manifest: Manifest, index: ReadonlySet<string>): string[] {
  const { namespace } = manifest.metadata;
  if (!namespace) {
    return CLUSTER_SCOPED.includes(manifest.kind)
      ? []
      : [`${title(manifest)}: has no namespace, and would be created in 'default'`];
  }
  if (index.has(key('Namespace', undefined, namespace))) return [];
  return [`${title(manifest)}: is in namespace '${namespace}', which does not exist`];
}

function checkBinding(manifest: Manifest, index: ReadonlySet<string>): string[] {
  if (manifest.kind !== 'RoleBinding' && manifest.kind !== 'ClusterRoleBinding') return [];
  const { roleRef, subjects } = manifest as unknown as {
    roleRef: { kind: string; name: string };
    subjects: { name: string; namespace: string }[];
  };
  const roleNamespace = roleRef.kind === 'Role' ? manifest.metadata.namespace : undefined;
  return [
    ...(index.has(key(roleRef.kind, roleNamespace, roleRef.name))
      ? []
      : [`${title(manifest)}: grants ${roleRef.kind} '${roleRef.name}', which does not exist`]),
    ...subjects
      .filter(({ name, namespace }) => !index.has(key('ServiceAccount', namespace, name)))
      .map(
        ({ name, namespace }) =>
          `${title(manifest)}: grants to ServiceAccount '${namespace}/${name}', which does not exist`,
      ),
  ];
}

/** A NetworkPolicy selects a pod. Those in mlops-steps are not checked, because Airflow creates step pods later. */
function checkNetworkPolicy(manifest: Manifest, pods: readonly Pod[]): string[] {
  if (manifest.kind !== 'NetworkPolicy' || manifest.metadata.namespace === STEPS_NAMESPACE) return [];
  const selector = manifest.spec.podSelector.matchLabels;
  if (!selector || Object.keys(selector).length === 0) return [];
  const around = pods.some(
    (pod) => pod.namespace === manifest.metadata.namespace && matches(pod.labels, selector),
  );
  return around
    ? []
    : [`${title(manifest)}: selects no pod: none in its namespace has ${JSON.stringify(selector)}`];
}
