import type { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import { z } from 'zod';
import type { Connection, EnvValue } from '../kubernetes/connection';
import { ENVIRONMENT, FOLDERS, LABELS } from '../definitions/names';
import { NetworkPolicy } from '../kubernetes/network-policy';
import { LifecycleCode } from '../kubernetes/lifecycle-code';
import {
  accountOf,
  envVars,
  NONROOT,
  resourcesJson,
  resourcesSpecSchema,
  restrictedContainer,
  restrictedPod,
} from '../kubernetes/pod-defaults';
import { ServiceAccount } from '../kubernetes/service-account';
import { STEPS_NAMESPACE } from '../kubernetes/namespaces';
import { PersistentVolumeClaim, type Mount, emptyDir, volumeMount } from '../kubernetes/volume';

/** What a pipeline's spec says of how its steps run. `pod` is a manifest. */
export const stepsSpecSchema = z.strictObject({
  resources: resourcesSpecSchema,
  pod: z.looseObject({ apiVersion: z.literal('v1'), kind: z.literal('Pod') }),
});

export type StepsSpec = z.output<typeof stepsSpecSchema>;

/** As whom a step runs, where, and what it is wired to. */
export interface StepRuntime {
  readonly namespace: string;
  /** What every step pod has in common, as Airflow reads it. */
  spec(pipeline?: StepsOfPipeline): StepsSpec;
}

/** What the steps of one pipeline have besides. */
export interface StepsOfPipeline {
  readonly name: string;
  /** ConfigMap with the pipeline's spec and model. */
  readonly configMap: string;
}

export interface StepPodsProps {
  /** Where a person opens MLflow: the log of a step leads there. */
  readonly mlflowPage: string;
  /**
   * Image of the step pods, with every package in it.
   * @default - Python and uv; the packages are installed once, into a volume that the steps share
   */
  readonly image?: string;
  /** @default - the cluster's default storage class */
  readonly storageClass?: string;
}

/**
 * The pods in which a model's steps run, one pod a step. Airflow makes them;
 * this says what they may reach and as whom they run: an account without rights.
 */
export class StepPods extends Construct implements StepRuntime {
  readonly namespace = STEPS_NAMESPACE;
  private readonly env: Record<string, EnvValue>;
  private readonly account: ServiceAccount;
  private readonly networkPolicy: NetworkPolicy;
  private readonly code: LifecycleCode;

  constructor(scope: Construct, id: string, props: StepPodsProps) {
    super(scope, id);
    this.env = { ...ENV, [ENVIRONMENT.mlflowPageUrl]: props.mlflowPage };
    this.account = new ServiceAccount(this, 'account', {
      name: 'step',
      namespace: this.namespace,
      grants: [],
    });
    this.networkPolicy = new NetworkPolicy(this, 'network-policy', {
      name: 'steps',
      namespace: this.namespace,
      pods: {},
    });
    // Where data and packages come from: http and https anywhere, because a source is an address on the internet.
    this.networkPolicy.allowToOutside(80);
    this.networkPolicy.allowToOutside(443);
    this.code = new LifecycleCode(this, 'code', {
      packages: 'steps',
      namespace: this.namespace,
      image: props.image,
      environments: this.environments(props),
    });
  }

  /** Wires every step to what it needs; a pipeline's spec carries the variables. */
  uses(...connections: Connection[]): void {
    for (const connection of connections) {
      Object.assign(this.env, connection.env);
      connection.endpoint.open(this.networkPolicy);
    }
  }

  spec(pipeline?: StepsOfPipeline) {
    return {
      resources: resourcesJson({ request: '100m' }, { request: '512Mi', limit: '2Gi' }),
      pod: this.pod(pipeline),
    };
  }

  /** Built once, and shared by every step on the volume's node. */
  private environments({ image, storageClass }: StepPodsProps): Mount {
    const path = '/environments';
    // A built image has them; the claim would stay empty.
    if (image !== undefined) return emptyDir('environments', path, '1Gi');
    const claim = new PersistentVolumeClaim(this, 'environments', {
      name: 'step-environments',
      namespace: this.namespace,
      size: '10Gi',
      storageClass,
    });
    return claim.mountAt(path);
  }

  /** The container is named `base`, as Airflow's operator expects; it adds the arguments. */
  private pod(pipeline: StepsOfPipeline | undefined) {
    const mounts = [...this.code.mounts, emptyDir('tmp', '/tmp', '20Gi')];
    if (pipeline) {
      const volume = { name: 'pipeline', configMap: { name: pipeline.configMap } };
      mounts.push({ path: FOLDERS.pipeline, readOnly: true, volume });
    }
    return {
      apiVersion: 'v1' as const,
      kind: 'Pod' as const,
      metadata: {
        namespace: this.namespace,
        labels: pipeline ? { [LABELS.pipeline]: pipeline.name } : {},
      },
      spec: {
        ...accountOf(this.account),
        restartPolicy: 'Never',
        securityContext: restrictedPod(NONROOT),
        containers: [
          {
            name: 'base',
            image: this.code.image,
            command: this.code.command(),
            env: envVars(this.env),
            securityContext: restrictedContainer,
            volumeMounts: mounts.map(volumeMount),
          },
        ],
        volumes: mounts.map(({ volume }) => spelledOut(volume)),
      },
    };
  }
}

const ENV = {
  HOME: '/tmp',
  // MLflow looks for git, and says at length that there is none.
  GIT_PYTHON_REFRESH: 'quiet',
};

/** A volume as JSON says it: a Quantity is its value. */
function spelledOut(volume: k8s.Volume): unknown {
  return volume.emptyDir?.sizeLimit
    ? { ...volume, emptyDir: { sizeLimit: volume.emptyDir.sizeLimit.value } }
    : volume;
}
