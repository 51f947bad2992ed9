/** The `type` of a part of a body that has not been validated; null: it has none, or is no object. */
export function rawType(raw: unknown): string | null {
  if (typeof raw !== 'object' || raw === null) return null;
  const { type } = raw as { type?: unknown };
  return typeof type === 'string' && type !== '' ? type : null;
}
