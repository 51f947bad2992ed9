/**
 * Counts attempts under the rate limits. A subject's counter is named by a keyed hash, so that names of objects, which
 * the platform shows and keeps, hold no address of a person or a network.
 */
import { canonicalEmail } from '../domain/canonical-email.ts';
import { isLoopbackAddress, networkOf } from '../domain/network.ts';
import {
  RATE_RULES,
  type RateRequest,
  type RateRule,
  type RateRuleName,
  type RateState,
  tightest,
} from '../domain/rate-limit.ts';
import { config, type Env } from '../env.ts';
import { describeError } from '../lib/describe-error.ts';
import { logSecurity } from '../lib/security-log.ts';
import { pepperKey } from '../tokens/pepper.ts';

/** An attempt under one rule. */
export interface Attempt {
  readonly rule: RateRuleName;
  /** A client address, an e-mail address or an id, by the rule's kind of subject, as it is: it is made canonical here. */
  readonly subject: string;
}

export interface RateVerdict {
  readonly allowed: boolean;
  /** How long to wait before the next attempt, in ms; 0: it is allowed. */
  readonly retryAfterMs: number;
  /** The rule that is nearest to its limit, or that refused; null: the attempt was not counted. */
  readonly state: RateState | null;
}

/** A refusal because a counter is out of reach: its object is back within seconds. */
const DOWN_RETRY_MS = 5_000;

/** The client address that Cloudflare saw; empty: there is none, and all such requests are counted as one network. */
export function clientAddress(headers: Headers): string {
  return headers.get('cf-connecting-ip') ?? '';
}

/**
 * Counts an attempt under each rule, in this order; at the first refusal the rest is not counted. Networks come first:
 * a network over its limit then makes no counters for subjects that it invents.
 */
export async function takeAttempt(
  env: Env,
  attempts: readonly Attempt[],
  nowMs: number,
): Promise<RateVerdict> {
  const states: RateState[] = [];
  for (const [name, requests] of bySubject(env, attempts)) {
    const taken = await take(env, name, requests, nowMs);
    if (!taken.allowed) {
      const state = tightest(taken.states);
      logSecurity('rate_limited', {
        rules: requests.map(({ rule }) => rule),
        counter: await markOf(env, name),
      });
      return { allowed: false, retryAfterMs: state?.resetMs ?? DOWN_RETRY_MS, state };
    }
    states.push(...taken.states);
  }
  return { allowed: true, retryAfterMs: 0, state: tightest(states) };
}

/** Ends the count of a rule, for example after a correct password. */
export async function forgive(env: Env, { rule, subject }: Attempt): Promise<void> {
  const name = subjectName(termsOf(rule), subject);
  try {
    await (await counterOf(env, name)).forgive(rule);
  } catch (error) {
    logDown([rule], error);
  }
}

/** Groups attempts by the name of their counter. The developer's own machine is not counted as a network. */
function bySubject(env: Env, attempts: readonly Attempt[]): Map<string, RateRequest[]> {
  const { development } = config(env);
  const groups = new Map<string, RateRequest[]>();
  for (const { rule, subject } of attempts) {
    const terms = termsOf(rule);
    if (terms.per === 'network' && development && isLoopbackAddress(subject)) continue;
    const isShared = terms.per === 'network' && networkOf(subject).shared;
    const limit = isShared ? (terms.sharedCount ?? terms.count) : terms.count;
    const name = subjectName(terms, subject);
    groups.set(name, [...(groups.get(name) ?? []), { rule, limit }]);
  }
  return groups;
}

function termsOf(rule: RateRuleName): RateRule {
  return RATE_RULES[rule];
}

function subjectName({ per }: RateRule, subject: string): string {
  if (per === 'network') return `network ${networkOf(subject).prefix}`;
  return `${per} ${per === 'email' ? canonicalEmail(subject) : subject}`;
}

async function take(env: Env, name: string, requests: readonly RateRequest[], nowMs: number) {
  try {
    return await (await counterOf(env, name)).take(requests, nowMs);
  } catch (error) {
    logDown(
      requests.map(({ rule }) => rule),
      error,
    );
    const allowed = requests.every(({ rule }) => termsOf(rule).whenDown === 'allow');
    return { allowed, states: [] };
  }
}

async function counterOf(env: Env, name: string) {
  return env.RATE_LIMITER.getByName(await counterName(env, name));
}

async function counterName(env: Env, name: string): Promise<string> {
  const message = new TextEncoder().encode(`rate limit of ${name}`);
  const hash = await crypto.subtle.sign('HMAC', (await pepperKey(config(env))).hmac, message);
  return Buffer.from(hash).toString('base64url');
}

/** A network as the security log names it: the same mark each time, from which no address can be read. */
export function networkMark(env: Env, headers: Headers): Promise<string> {
  return markOf(env, `network ${networkOf(clientAddress(headers)).prefix}`);
}

/** Twelve characters of the counter's name: 72 bits tell all counters of a log apart. */
async function markOf(env: Env, name: string): Promise<string> {
  return (await counterName(env, name)).slice(0, 12);
}

function logDown(rules: readonly RateRuleName[], error: unknown): void {
  console.error(JSON.stringify({ event: 'rate_limiter_failed', rules, error: describeError(error) }));
}
