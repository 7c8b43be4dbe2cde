import { z } from 'zod';

type FilledIn<Shape extends z.ZodRawShape> = {
  [Key in keyof Shape]: Shape[Key] extends z.ZodDefault<infer Inner extends z.ZodType> ? Inner : Shape[Key];
};

/**
 * The schema of an object whose defaults are filled in already: every key that has a default is required.
 * Refinements of the whole object are left out, because they were checked before.
 */
export function filledIn<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
): z.ZodObject<FilledIn<Shape>, z.core.$strict> {
  const shape = Object.entries(schema.shape).map(([key, value]) => [
    key,
    value instanceof z.ZodDefault ? value.unwrap() : value,
  ]);
  return z.strictObject(Object.fromEntries(shape) as FilledIn<Shape>);
}
