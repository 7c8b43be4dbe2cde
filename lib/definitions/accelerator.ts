import { k8s } from 'cdk8s-plus-28';
import { z } from 'zod';
import { DefinitionError } from './definition-error';
import { parse } from './parse';
import { rules } from './rules';

/** The fields of a pod's spec that give it GPUs. */
export interface AcceleratedPod {
  /** Extended resources, which must be equal in requests and limits. */
  readonly limits: Record<string, k8s.Quantity>;
  readonly runtimeClassName?: string;
  readonly tolerations?: { key: string; operator: string; effect: string }[];
  readonly nodeSelector?: Record<string, string>;
}

/** Which NVIDIA GPUs a pod gets. */
export interface NvidiaProps {
  /**
   * Number of GPUs of each pod: a whole number, at least 1.
   * @default 1
   */
  readonly count?: number;

  /**
   * RuntimeClass with which containers see the GPU. The API server refuses pods where it does not exist. k3s creates
   * `nvidia` by itself where it finds the NVIDIA container toolkit.
   * @default nvidia
   */
  readonly runtimeClassName?: string;

  /**
   * Labels of the nodes that have GPUs. Pods with a GPU run on no other node.
   * @default - any node that offers nvidia.com/gpu
   */
  readonly nodeSelector?: Record<string, string>;
}

const schema = z.strictObject({
  count: z.number().optional(),
  runtimeClassName: rules.dnsLabel(63).optional(),
  nodeSelector: z.record(z.string(), z.string()).optional(),
});

/** The GPUs of a pod, or none. No other file of lib/ names the resource `nvidia.com/gpu`. */
export class Accelerator {
  /** No GPU: everything computes on the CPU. */
  static none(): Accelerator {
    return new Accelerator(0, {});
  }

  /**
   * NVIDIA GPUs.
   * @throws DefinitionError where `count` is not a whole number of at least 1.
   */
  static nvidia(props: NvidiaProps = {}): Accelerator {
    const count = props.count ?? 1;
    if (!Number.isInteger(count) || count < 1) {
      throw new DefinitionError('accelerator.count', 'must be a whole number of GPUs, at least 1', count);
    }
    parse(schema, props, 'Accelerator.nvidia');
    return new Accelerator(count, props);
  }

  private constructor(
    /** Number of GPUs of a pod; 0 for none. */
    readonly count: number,
    private readonly props: NvidiaProps,
  ) {}

  get present(): boolean {
    return this.count > 0;
  }

  get runtimeClassName(): string | undefined {
    return this.present ? (this.props.runtimeClassName ?? 'nvidia') : undefined;
  }

  /** The same kind of GPU in another number; 0 gives `Accelerator.none()`. */
  withCount(count: number): Accelerator {
    return count === 0 ? Accelerator.none() : Accelerator.nvidia({ ...this.props, count });
  }

  /** For a pod that computes on the GPUs. */
  forPod(): AcceleratedPod {
    if (!this.present) return { limits: {} };
    return {
      // A Quantity, not a number: cdk8s drops plain values at this path.
      limits: { 'nvidia.com/gpu': k8s.Quantity.fromNumber(this.count) },
      ...this.forAgent(),
    };
  }

  /** For a pod that reads every GPU of its node and reserves none. */
  forAgent(): Omit<AcceleratedPod, 'limits'> {
    return {
      runtimeClassName: this.runtimeClassName,
      nodeSelector: this.props.nodeSelector,
      tolerations: [{ key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' }],
    };
  }
}
