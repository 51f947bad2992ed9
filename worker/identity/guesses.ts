/**
 * Counts guesses at what a person knows or has: whoever guesses is slowed down, not the person. A guess is counted by
 * network, by address and person, and by person over all addresses; the last limit is so wide that it takes an attack
 * from many addresses to reach it. A device that the person has signed in from is held to its own count alone.
 */
import { canonicalEmail } from '../domain/canonical-email.ts';
import { networkOf } from '../domain/network.ts';
import type { RateRuleName } from '../domain/rate-limit.ts';
import type { Env } from '../env.ts';
import { type Attempt, clientAddress, forgive, takeAttempt } from '../rate-limits/attempts.ts';
import { knownDevice } from './known-device.ts';

export interface Guess {
  /** How long to wait, in ms; 0: the guess may be checked. */
  readonly retryAfterMs: number;
  /** Ends the counts against whoever guessed, because the guess was right. */
  forgive(): Promise<void>;
}

interface Guesser {
  readonly headers: Headers;
  readonly nowMs: number;
}

/** A guess of a password at sign-in. The address may be unknown here: the counts are the same. */
export async function guessPassword(env: Env, email: string, guesser: Guesser): Promise<Guess> {
  const device = await knownDevice(env, guesser.headers, { email });
  if (device) return take(env, [{ rule: 'sign_in_device', subject: device }], guesser.nowMs);
  const address = clientAddress(guesser.headers);
  const attempts: Attempt[] = [
    { rule: 'sign_in_network', subject: address },
    { rule: 'sign_in_visitor', subject: visitor(canonicalEmail(email), address) },
    { rule: 'sign_in_email', subject: email },
  ];
  return take(env, attempts, guesser.nowMs);
}

/** A guess of the second step's code, by somebody who knew the password. */
export async function guessCode(env: Env, personId: string, guesser: Guesser): Promise<Guess> {
  const device = await knownDevice(env, guesser.headers, { personId });
  const address = clientAddress(guesser.headers);
  const attempts: Attempt[] = device
    ? [
        { rule: 'code_device', subject: device },
        { rule: 'code_devices', subject: personId },
      ]
    : [
        { rule: 'sign_in_step_network', subject: address },
        { rule: 'code_visitor', subject: visitor(personId, address) },
        { rule: 'code_person', subject: personId },
      ];
  return take(env, attempts, guesser.nowMs);
}

/** A person as guessed from an address: an IPv4 address is one visitor, of IPv6 a /64 is. Neighbours count for themselves. */
function visitor(person: string, address: string): string {
  const { prefix, shared } = networkOf(address);
  return `${person} ${shared ? address : prefix}`;
}

/** A guess of a signed-in person's password or code, by whoever holds the session. */
export function guessInSession(env: Env, sessionId: string, nowMs: number): Promise<Guess> {
  return take(env, [{ rule: 'reauthenticate_session', subject: sessionId }], nowMs);
}

/** Counts that a right guess ends. Those of networks, and of a person over all networks, go on: others' guesses are in them. */
const FORGIVEN: ReadonlySet<RateRuleName> = new Set([
  'sign_in_visitor',
  'sign_in_device',
  'code_visitor',
  'code_device',
  'code_devices',
  'reauthenticate_session',
] satisfies RateRuleName[]);

async function take(env: Env, attempts: readonly Attempt[], nowMs: number): Promise<Guess> {
  const { retryAfterMs } = await takeAttempt(env, attempts, nowMs);
  const forgiven = attempts.filter(({ rule }) => FORGIVEN.has(rule));
  return {
    retryAfterMs,
    forgive: async () => {
      await Promise.all(forgiven.map((attempt) => forgive(env, attempt)));
    },
  };
}
