/**
 * The description, in the OpenAPI document, of a schema that stands for objects of all types but those that are read. Without
 * it the document would show the form into which such an object is turned before it is validated.
 */
export function anyOtherType(type: { not: object } | { pattern: string }, description: string) {
  const properties = { type: { type: 'string' as const, minLength: 1, ...type } };
  return { override: { type: 'object' as const, properties, required: ['type'], description } };
}
