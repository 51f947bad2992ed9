/** Joins the log-probabilities of parts of a text: each is an object of lists, one entry a token; undefined without any. */
export function mergeLogprobs(parts: readonly unknown[]): unknown {
  const given = parts.filter((part) => typeof part === 'object' && part !== null) as Record<
    string,
    unknown
  >[];
  const [first] = given;
  if (first === undefined || given.length === 1) return first;
  return Object.fromEntries(
    Object.entries(first).map(([name, value]) => [
      name,
      Array.isArray(value) ? given.flatMap((part) => part[name] ?? []) : value,
    ]),
  );
}
