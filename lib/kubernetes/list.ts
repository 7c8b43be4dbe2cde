/** A list as a manifest holds it: absent where it is empty, because the API server drops empty lists. */
export function listOrAbsent<T>(list: T[]): T[] | undefined {
  return list.length > 0 ? list : undefined;
}
