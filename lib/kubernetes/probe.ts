import { k8s } from 'cdk8s-plus-28';

type Timing = Pick<
  k8s.Probe,
  'periodSeconds' | 'timeoutSeconds' | 'failureThreshold' | 'initialDelaySeconds'
>;

/** Requests a path from a port, which is given by its name. */
export function httpProbe(path: string, port: string, timing: Timing = {}): k8s.Probe {
  return { httpGet: { path, port: k8s.IntOrString.fromString(port) }, timeoutSeconds: 5, ...timing };
}

/** Runs a command in the container. */
export function commandProbe(command: string[], timing: Timing = {}): k8s.Probe {
  return { exec: { command }, timeoutSeconds: 5, ...timing };
}
