import { z } from 'zod';
import { DefinitionError } from './definition-error';

/** One key of a Secret. Its value is not known at synth. */
export interface SecretKey {
  readonly secret: SecretRef;
  readonly key: string;
}

/**
 * A reference to a Secret. The platform generates the Secret inside the cluster, or the user creates it there.
 */
export class SecretRef {
  /** A Secret that you create before `kubectl apply`, with these keys. */
  static external(name: string, keys: readonly string[]): SecretRef {
    return new SecretRef(name, keys);
  }

  constructor(
    readonly name: string,
    readonly keys: readonly string[],
  ) {
    if (typeof name !== 'string' || !/^[a-z0-9]([-a-z0-9]{0,251}[a-z0-9])?$/.test(name)) {
      throw new DefinitionError(
        'secret',
        'must be the name of a Secret (lower-case letters, digits and dashes), never its value',
        name,
      );
    }
  }

  /** @throws DefinitionError where the Secret was not declared with such a key. */
  key(key: string): SecretKey {
    if (!this.keys.includes(key)) {
      throw new DefinitionError(
        `Secret '${this.name}'`,
        `has the keys ${this.keys.join(', ')}; refer to one of these or declare the key`,
        key,
      );
    }
    return { secret: this, key };
  }
}

/** Credentials for an external database or object store: the name of a client to its Secret. */
export const secretRefs = z.record(
  z.string(),
  z.custom<SecretRef>((value) => value instanceof SecretRef, 'must be SecretRef.external(name, keys)'),
);
