import { createHash } from 'node:crypto';
import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import { type Bytes, canonicalBytes } from '../definitions/quantity';

/** A volume, and the path at which a container sees it. */
export interface Mount {
  readonly path: string;
  readonly volume: k8s.Volume;
  readonly subPath?: string;
  readonly readOnly?: boolean;
  /** Hash of the content. It becomes an annotation of the pod, so that a change restarts it. @default - none */
  readonly contentHash?: () => string;
}

/** The mount as an entry of a container's `volumeMounts`. */
export function volumeMount(mount: Mount): k8s.VolumeMount {
  return { name: mount.volume.name, mountPath: mount.path, subPath: mount.subPath, readOnly: mount.readOnly };
}

/** Scratch space on the node's disk, which is deleted with the pod. A pod that exceeds `sizeLimit` is evicted. */
export function emptyDir(name: string, path: string, sizeLimit: Bytes, subPath?: string): Mount {
  return {
    path,
    subPath,
    volume: { name, emptyDir: { sizeLimit: k8s.Quantity.fromString(canonicalBytes(sizeLimit)) } },
  };
}

export interface PersistentVolumeClaimProps {
  readonly name: string;
  /** @default mlops-platform */
  readonly namespace?: string;
  readonly size: Bytes;
  /** @default - the cluster's default storage class */
  readonly storageClass?: string;
}

/**
 * Disk that outlives its pod. It is not a volumeClaimTemplate of a StatefulSet, because that is immutable: this claim
 * can be enlarged.
 */
export class PersistentVolumeClaim extends Construct {
  readonly claim: k8s.KubePersistentVolumeClaim;

  constructor(
    scope: Construct,
    id: string,
    private readonly props: PersistentVolumeClaimProps,
  ) {
    super(scope, id);
    this.claim = new k8s.KubePersistentVolumeClaim(this, 'claim', {
      metadata: { name: props.name, namespace: props.namespace },
      spec: {
        accessModes: ['ReadWriteOnce'],
        storageClassName: props.storageClass,
        resources: { requests: { storage: k8s.Quantity.fromString(canonicalBytes(props.size)) } },
      },
    });
  }

  mountAt(path: string): Mount {
    return { path, volume: { name: 'data', persistentVolumeClaim: { claimName: this.props.name } } };
  }
}

export interface ConfigFilesProps {
  readonly name: string;
  readonly namespace?: string;
  /** File name to content; a name may have folders, as in `steps/collect.py`. */
  readonly files: Readonly<Record<string, string>>;
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
}

/** Files that a container reads, from one ConfigMap. */
export class ConfigFiles extends Construct {
  readonly configMap: k8s.KubeConfigMap;

  constructor(
    scope: Construct,
    id: string,
    private readonly props: ConfigFilesProps,
  ) {
    super(scope, id);
    this.configMap = new k8s.KubeConfigMap(this, 'files', {
      metadata: {
        name: props.name,
        namespace: props.namespace,
        labels: props.labels,
        annotations: props.annotations,
      },
      data: Object.fromEntries(Object.entries(props.files).map(([file, content]) => [keyOf(file), content])),
    });
  }

  /** Mounts all files, read-only. A change of their content restarts the pod. */
  mountAt(path: string): Mount {
    const files = Object.keys(this.props.files);
    const items = files.some((file) => file !== keyOf(file))
      ? files.map((file) => ({ key: keyOf(file), path: file }))
      : undefined;
    return {
      path,
      readOnly: true,
      volume: { name: this.props.name, configMap: { name: this.props.name, items } },
      contentHash: () => contentHash(this.props.files),
    };
  }
}

/** The ConfigMap's key of a file. Keys cannot contain a slash: `steps/collect.py` has the key `steps.collect.py`. */
function keyOf(file: string): string {
  return file.replaceAll('/', '.');
}

/** A short hash, for names and annotations. Equal content gives an equal hash. */
export function contentHash(content: unknown): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 12);
}
