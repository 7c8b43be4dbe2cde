import { type Manifest, podsOf, strings, title } from './manifests';

/** Names are unique, images are pinned, no secret is in plain text, and no object is too large for kubectl. */
export function checkContent(manifests: readonly Manifest[]): string[] {
  return [
    ...checkNames(manifests),
    ...checkImages(manifests),
    ...checkSecrets(manifests),
    ...checkSizes(manifests),
  ];
}

function checkNames(manifests: readonly Manifest[]): string[] {
  const seen = new Map<string, Manifest>();
  return manifests.flatMap((manifest) => {
    // In lower case, because names that differ only by case may collide on a file system or in a metric.
    const id = title(manifest).toLowerCase();
    const twin = seen.get(id);
    seen.set(id, manifest);
    return twin
      ? [`${title(manifest)}: the name is taken by another ${twin.kind}; one of the two must change`]
      : [];
  });
}

function checkImages(manifests: readonly Manifest[]): string[] {
  const images = [
    ...podsOf(manifests).flatMap(({ owner, containers, initContainers }) =>
      [...initContainers, ...containers].map(({ image }) => ({ owner, image })),
    ),
    ...manifests
      .filter(({ kind }) => kind === 'Prometheus' || kind === 'Alertmanager')
      .map((manifest) => ({ owner: title(manifest), image: String(manifest.spec.image) })),
  ];
  return images.flatMap(({ owner, image }) => {
    const tag = /:([^/:@]+)(@sha256:[0-9a-f]{64})?$/.exec(image)?.[1];
    if (tag === undefined)
      return [`${owner}: image '${image}' has no tag; pin one in lib/kubernetes/images.ts`];
    if (/(^|[-._])(latest|main|master|edge|nightly|stable|dev)($|[-._])/i.test(tag)) {
      return [`${owner}: image '${image}' moves; pin a version in lib/kubernetes/images.ts`];
    }
    return [];
  });
}

/** Names of variables whose value is a secret. */
const SECRET_NAME =
  /(PASSWORD|SECRET|TOKEN|CREDENTIAL|PRIVATE_KEY|API_KEY|ACCESS_KEY|FERNET|PASSWD|PASSPHRASE|_(PASS|PWD)$)/i;

/** Patterns of secrets, which are looked for in every text of every object. */
const SECRET_LOOK: [RegExp, string][] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----/, 'a private key'],
  [/\bAKIA[0-9A-Z]{16}\b/, 'an AWS access key'],
  [/\b(ghp|gho|ghs|github_pat)_[A-Za-z0-9_]{20,}/, 'a GitHub token'],
  [/\b(glpat|xox[abprs]|sk_live|hf|AIza)[-_]?[A-Za-z0-9_-]{24,}/, 'an access token'],
  [/\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\./, 'a JSON web token'],
  [/\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@'"]*:(?!\$\()[^\s/@'",]+@/i, 'a URL with a password'],
  [/--[\w-]*(password|passwd|secret|token|api-key)[= ](?!["']?\$)[^\s]+/i, 'a password among arguments'],
];

function checkSecrets(manifests: readonly Manifest[]): string[] {
  const secrets = manifests
    .filter(({ kind }) => kind === 'Secret')
    .map(
      (manifest) =>
        `${title(manifest)}: a Secret must not stand in dist; let the platform generate it or declare it external`,
    );
  const named = podsOf(manifests).flatMap(({ owner, containers, initContainers }) =>
    [...initContainers, ...containers].flatMap(({ env }) =>
      (env ?? [])
        .filter(({ name, value }) => value !== undefined && SECRET_NAME.test(name) && !isReference(value))
        .map(
          ({ name }) =>
            `${owner}: ${name} has the name of a secret, and its value is in plain text; use a SecretRef`,
        ),
    ),
  );
  const looks = manifests.flatMap((manifest) =>
    [...strings(manifest)].flatMap(({ path, text }) =>
      SECRET_LOOK.filter(([pattern]) => pattern.test(text)).map(
        ([, what]) => `${title(manifest)}: ${path} looks like ${what}; use a SecretRef`,
      ),
    ),
  );
  return [...secrets, ...named, ...looks];
}

/** Whether a value consists of references to other variables alone, and so reveals nothing. */
function isReference(value: string): boolean {
  return /^(\$\([A-Za-z_][A-Za-z0-9_]*\))+$/.test(value);
}

/** Bytes that the annotations of an object may have. `kubectl apply` stores a copy of the object in one. */
const APPLICABLE_BYTES = 262_144;

/** No object is too large for `kubectl apply`. */
export function checkSizes(manifests: readonly Manifest[]): string[] {
  return manifests.flatMap((manifest) => {
    // kubectl writes each of these three as six characters: `<` as `\u003c`.
    const bytes = Buffer.byteLength(JSON.stringify(manifest).replace(/[<>&]/g, '\\u0000'));
    return bytes < APPLICABLE_BYTES
      ? []
      : [`${title(manifest)}: has ${bytes} bytes, and kubectl apply takes fewer than ${APPLICABLE_BYTES}`];
  });
}
