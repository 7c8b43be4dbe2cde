/** The list, or undefined where it is empty: the API server drops empty lists, and the file would differ from it. */
export function listOrAbsent<T>(list: T[]): T[] | undefined {
  return list.length > 0 ? list : undefined;
}
