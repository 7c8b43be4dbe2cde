import { DefinitionErrors } from '../definitions/definition-error';
import { checkAddresses } from './addresses';
import { checkContent } from './content';
import type { Manifest } from './manifests';
import { checkMetrics } from './metrics';
import { checkMonitors } from './monitors';
import { checkReferences, type KnownSecret } from './references';
import { checkServices } from './services';

export interface ValidationContext {
  /** What is checked, for the first line of the error: `environment 'laptop'`. */
  readonly subject: string;
  readonly secrets: readonly KnownSecret[];
  readonly metrics: ReadonlySet<string>;
  /** Namespaces that somebody else made, with Services of theirs. @default - none */
  readonly otherNamespaces?: readonly string[];
}

/**
 * Checks the objects of one environment against each other.
 * @throws DefinitionErrors with every fault, which names both objects.
 */
export function validate(manifests: readonly Manifest[], context: ValidationContext): void {
  const violations = [
    ...checkContent(manifests),
    ...checkServices(manifests),
    ...checkMonitors(manifests),
    ...checkReferences(manifests, context.secrets, context.otherNamespaces),
    ...checkAddresses(manifests, context.otherNamespaces),
    ...checkMetrics(manifests, context.metrics),
  ];
  if (violations.length > 0) throw new DefinitionErrors(`${context.subject} is wired wrongly:`, violations);
}
