import { z } from 'zod';
import { parse } from '../definitions/parse';
import { rules } from '../definitions/rules';

export interface NodeExporterProps {
  /**
   * Port on the network of every node, 1024 to 29999. Set it where the nodes have a program on the default already.
   * @default 9100
   */
  readonly port?: number;
}

/** Ports on which Kubernetes itself listens on a node, in the range that a definition may name. */
const KUBERNETES_PORTS = [
  2379, 2380, 2381, 2382, 6443, 6444, 10010, 10248, 10249, 10250, 10256, 10257, 10258, 10259,
];

const schema = z.strictObject({
  // Below are ports for root alone, above those of Services of type NodePort and of outgoing connections.
  port: rules
    .whole(1024, 29999)
    .refine(
      (port) => !KUBERNETES_PORTS.includes(port),
      `must be none of Kubernetes' own ports on a node (${KUBERNETES_PORTS.join(', ')})`,
    )
    .default(9100),
});

/** What measures the nodes' CPUs, memory, disks and network: node-exporter, which takes a port of every node. */
export class NodeExporter {
  /**
   * The platform's own node-exporter.
   * @throws DefinitionErrors where the port cannot be one.
   */
  static own(props: NodeExporterProps = {}): NodeExporter {
    return new NodeExporter(parse(schema, props, 'NodeExporter.own').port);
  }

  /** No node-exporter: there are no metrics, alerts and dashboard of the nodes. */
  static none(): NodeExporter {
    return new NodeExporter();
  }

  private constructor(
    /** Its port on every node; undefined where there is none. */
    readonly port?: number,
  ) {}
}
