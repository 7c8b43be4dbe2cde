import { z } from 'zod';
import { DefinitionError } from './definition-error';

/** One key of one Secret. The value itself is never known at synth. */
export interface SecretKey {
  readonly secret: SecretRef;
  readonly key: string;
}

/**
 * A Secret the platform refers to: generated inside the cluster, or declared as
 * one that the cluster's owner has put there.
 */
export class SecretRef {
  /** A Secret that the cluster's owner creates before `kubectl apply`; it needs exactly these keys. */
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

  /** @throws DefinitionError when the Secret has no such key. */
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

/** Client to its Secret, as external databases and object stores take them. */
export const secretRefs = z.record(
  z.string(),
  z.custom<SecretRef>((value) => value instanceof SecretRef, 'must be SecretRef.external(name, keys)'),
);
