/** Finds the tokens of a text, 20 characters or longer, that look like random bytes in base64 or hex. */
export function randomTokens(text: string): string[] {
  // The hashes of a lock file are random too, but public.
  return (text.replace(/--hash=sha256:[0-9a-f]{64}\b/g, '').match(/[A-Za-z0-9+/=_-]{20,}/g) ?? []).filter(
    isRandom,
  );
}

/** Compares a token's entropy, in bits a character, with limits that words and paths do not reach. */
function isRandom(token: string): boolean {
  if (!/\d/.test(token) || !/[a-z]/i.test(token)) return false;
  const counts = new Map<string, number>();
  for (const letter of token) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  const bits = [...counts.values()].reduce(
    (sum, n) => sum - (n / token.length) * Math.log2(n / token.length),
    0,
  );
  return bits > (/^[0-9a-f]+$/.test(token) ? 3.2 : 4.2);
}
