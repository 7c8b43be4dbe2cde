import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import type { Connection, EnvValue } from '../core/connection';
import { images } from '../core/images';
import { envVars } from '../core/pod-defaults';
import { Firewall } from '../core/firewall';
import { STEPS_NAMESPACE } from '../core/stage';

/** As whom a step runs, where, and what it is wired to. */
export interface StepRuntime {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly env: Record<string, EnvValue>;
}

/**
 * The pods in which a model's steps run, one pod a step. Airflow makes them;
 * this says what they may reach and as whom they run: an account without rights.
 */
export class StepPods extends Construct implements StepRuntime {
  readonly serviceAccount = 'step';
  readonly namespace = STEPS_NAMESPACE;
  readonly env: Record<string, EnvValue> = {};
  private readonly firewall: Firewall;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    new k8s.KubeServiceAccount(this, 'account', {
      metadata: { name: this.serviceAccount, namespace: this.namespace },
      automountServiceAccountToken: false,
    });
    this.firewall = new Firewall(this, 'firewall', { name: 'steps', namespace: this.namespace, pods: {} });
    // Where the data comes from: http and https anywhere, because a source is an address on the internet.
    this.firewall.allowToOutside(80);
    this.firewall.allowToOutside(443);
  }

  /** Wires every step to what it needs; a pipeline's spec carries the variables. */
  uses(...connections: Connection[]): void {
    for (const connection of connections) {
      Object.assign(this.env, connection.env);
      connection.endpoint.open(this.firewall);
    }
  }
}

/** What every step pod has in common, as Airflow reads it. */
export function stepsSpec({ namespace, serviceAccount, env }: StepRuntime) {
  return { namespace, serviceAccount, image: images.python, env: envVars(env) };
}
