import { type Manifest, podsOf, strings, title } from './manifests';

/** Names are unique, images are pinned, and no secret stands in the open. */
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
    // Folded, because names that differ only by case meet on a file system or in a metric.
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

/** Variables whose value is a secret by their name. */
const SECRET_NAME =
  /(PASSWORD|SECRET|TOKEN|CREDENTIAL|PRIVATE_KEY|API_KEY|ACCESS_KEY|FERNET|PASSWD|PASSPHRASE|_(PASS|PWD)$)/i;

/** Values that are secrets by their look, wherever they stand. */
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
        .filter(({ name, value }) => value !== undefined && SECRET_NAME.test(name) && !quotesAnother(value))
        .map(
          ({ name }) =>
            `${owner}: ${name} is a secret by its name, and its value stands in the open; use a SecretRef`,
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

/** A value made only of other variables tells nobody anything. */
function quotesAnother(value: string): boolean {
  return /^(\$\([A-Za-z_][A-Za-z0-9_]*\))+$/.test(value);
}

/** `kubectl apply` keeps a copy of an object in an annotation, and annotations hold this much. */
const APPLICABLE_BYTES = 262_144;

/** What is too large for `kubectl apply` to take. */
export function checkSizes(manifests: readonly Manifest[]): string[] {
  return manifests.flatMap((manifest) => {
    // kubectl writes these three as \u003c and the like.
    const bytes = Buffer.byteLength(JSON.stringify(manifest).replace(/[<>&]/g, '\\u0000'));
    return bytes < APPLICABLE_BYTES
      ? []
      : [`${title(manifest)}: has ${bytes} bytes, and kubectl apply takes fewer than ${APPLICABLE_BYTES}`];
  });
}
