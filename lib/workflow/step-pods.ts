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

/** Schema of the part of spec.json that says how steps run. `pod` is the manifest of a Pod, but for its arguments. */
export const stepsSpecSchema = z.strictObject({
  resources: resourcesSpecSchema,
  pod: z.looseObject({ apiVersion: z.literal('v1'), kind: z.literal('Pod') }),
});

export type StepsSpec = z.output<typeof stepsSpecSchema>;

/** How steps run: namespace, account, image and connections. */
export interface StepRuntime {
  readonly namespace: string;
  /** What every step pod has in common, as Airflow reads it. */
  spec(pipeline?: StepsOfPipeline): StepsSpec;
}

/** What differs between the step pods of two pipelines. */
export interface StepsOfPipeline {
  readonly name: string;
  /** ConfigMap with the pipeline's spec and model. */
  readonly configMap: string;
}

export interface StepPodsProps {
  /** URL at which a person opens MLflow. Steps print links to it. */
  readonly mlflowPage: string;
  /**
   * Image of the step pods that contains every package.
   * @default - Python and uv; the packages are installed once, into a volume that the steps share
   */
  readonly image?: string;
  /** @default - the cluster's default storage class */
  readonly storageClass?: string;
}

/**
 * The pods in which a model's steps run, one for each step. Airflow creates them from `spec()`. Here is what they
 * share: an account without rights, a NetworkPolicy, their code and their connections.
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
    // HTTP and HTTPS to any address, because data and packages come from the internet.
    this.networkPolicy.allowToOutside(80);
    this.networkPolicy.allowToOutside(443);
    this.code = new LifecycleCode(this, 'code', {
      packages: 'steps',
      namespace: this.namespace,
      image: props.image,
      environments: this.environments(props),
    });
  }

  /** Connects every step to servers. Each pipeline's spec contains the variables. */
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

  /** Volume of the installed packages. They are installed once, for every step on the volume's node. */
  private environments({ image, storageClass }: StepPodsProps): Mount {
    const path = '/environments';
    // A step image contains the packages, so that a claim would stay empty.
    if (image !== undefined) return emptyDir('environments', path, '1Gi');
    const claim = new PersistentVolumeClaim(this, 'environments', {
      name: 'step-environments',
      namespace: this.namespace,
      size: '10Gi',
      storageClass,
    });
    return claim.mountAt(path);
  }

  /** The Pod. KubernetesPodOperator adds the arguments; it requires that the container is named `base`. */
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
  // Otherwise MLflow prints a long warning that there is no git.
  GIT_PYTHON_REFRESH: 'quiet',
};

/** A volume as plain JSON, in which a Quantity is its value. */
function spelledOut(volume: k8s.Volume): unknown {
  return volume.emptyDir?.sizeLimit
    ? { ...volume, emptyDir: { sizeLimit: volume.emptyDir.sizeLimit.value } }
    : volume;
}
