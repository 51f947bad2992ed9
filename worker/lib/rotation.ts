/**
 * A secret and those beside it while it is rotated. The one in use signs, encrypts and hashes; those beside it are only
 * accepted, so that isolates which do not have the same settings yet, and what was made before, are not refused.
 */

/** Secrets that rotate, by the name of their setting. */
export const ROTATING = [
  'AUTH_SECRET',
  'KEY_PEPPER',
  'EDGE_SIGNING_KEY',
  'OPERATOR_TOKEN',
  'SANDBOX_WEBHOOK_SECRET',
  'STRIPE_WEBHOOK_SECRET',
] as const;

export type RotatingName = (typeof ROTATING)[number];

/** The secrets beside the one in use. */
export interface Beside {
  /** It comes into use later; null: there is none. */
  readonly upcoming: string | null;
  /** They were in use before, the latest first. */
  readonly retired: readonly string[];
}

export const ALONE: Beside = { upcoming: null, retired: [] };

/** Every accepted secret, the one in use first. */
export function acceptedSecrets(inUse: string, { upcoming, retired }: Beside = ALONE): string[] {
  return [...new Set([inUse, ...(upcoming === null ? [] : [upcoming]), ...retired])];
}

/** The secret under which everything was made that does not say under which it was made. */
export function oldestSecret(inUse: string, { retired }: Beside = ALONE): string {
  return retired.at(-1) ?? inUse;
}

/**
 * The secrets of one name, from its settings.
 * @param settings.next the new secret; null: there is none
 * @param settings.usesNext whether the new one is in use, and the old one only accepted
 * @param settings.previous secrets that were in use before, the latest first
 */
export function secretsOf(settings: {
  now: string;
  next: string | null;
  usesNext: boolean;
  previous: readonly string[];
}): { inUse: string; beside: Beside } {
  const { now, next, usesNext, previous } = settings;
  const inUse = usesNext && next !== null ? next : now;
  const isOther = (secret: string) => secret !== inUse;
  const retired = [...new Set([...(usesNext ? [now] : []), ...previous])].filter(isOther);
  const upcoming = next !== null && isOther(next) ? next : null;
  return { inUse, beside: { upcoming, retired: retired.filter((secret) => secret !== upcoming) } };
}
