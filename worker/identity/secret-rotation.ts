/** Where the rotation of each secret stands: what still needs an earlier secret, and the work that carries it over. */
import { database } from '../db/client.ts';
import { countKeysNotUnder } from '../db/keys.ts';
import { listEdgeKeysOfNodes } from '../db/node-edge-keys.ts';
import { countOperatorTokensNotUnder } from '../db/operator-tokens.ts';
import { countSealedUnderOther, listSealedUnderOther } from '../db/webhook-secrets.ts';
import { config, type Env } from '../env.ts';
import { acceptedSecrets, ROTATING, type RotatingName } from '../lib/rotation.ts';
import { keepEndpointSecret } from '../notifications/webhook/endpoint-secret.ts';
import { edgeKeys } from '../tokens/edge-keys.ts';
import { pepperKey } from '../tokens/pepper.ts';
import { sealedPrefix } from '../tokens/seal.ts';
import { inboxKeyIsLeft, keepInboxKey } from './inbox-key.ts';
import { countOtherSecondFactors, encryptSecondFactorsAnew } from './second-factor-secrets.ts';

export interface RotationState {
  readonly name: RotatingName;
  /** alone: no other is accepted; accepted: the new one is accepted, the old in use; in_use: the reverse. */
  readonly step: 'alone' | 'accepted' | 'in_use';
  /** Numbers of things that would be refused or lost if only the secret in use were left, by kind. */
  readonly left: Readonly<Record<string, number>>;
}

/** Rows of a kind that one call carries over: few enough for its limit of queries. */
const CARRIED_AT_ONCE = 50;

export async function rotationStates(env: Env, nowMs: number): Promise<RotationState[]> {
  const { beside } = config(env);
  return Promise.all(
    ROTATING.map(async (name) => {
      const { upcoming, retired } = beside[name];
      const step = upcoming !== null ? 'accepted' : retired.length > 0 ? 'in_use' : 'alone';
      return { name, step, left: step === 'alone' ? {} : await leftOf(env, name, nowMs) } as const;
    }),
  );
}

async function leftOf(env: Env, name: RotatingName, nowMs: number): Promise<Record<string, number>> {
  const db = database(env);
  const settings = config(env);
  switch (name) {
    case 'AUTH_SECRET': {
      const [secondFactors, webhooks, inboxes] = await Promise.all([
        countOtherSecondFactors(env),
        countSealedUnderOther(db, otherPrefixes(env)),
        inboxKeyIsLeft(env),
      ]);
      return { second_factors: secondFactors, webhook_secrets: webhooks, trial_inboxes: Number(inboxes) };
    }
    case 'KEY_PEPPER': {
      const { id } = await pepperKey(settings);
      const knowsOthers = settings.beside.KEY_PEPPER.retired.length > 0;
      const [apiKeys, tokens, inboxes] = await Promise.all([
        // a key without a pepper's id is under the oldest one known
        countKeysNotUnder(db, { pepperId: id, unnamed: knowsOthers, nowMs }),
        countOperatorTokensNotUnder(db, { pepperId: id, nowMs }),
        inboxKeyIsLeft(env),
      ]);
      return { api_keys: apiKeys, operator_tokens: tokens, trial_inboxes: Number(inboxes) };
    }
    case 'EDGE_SIGNING_KEY': {
      const { publicJwks } = await edgeKeys(settings);
      if (publicJwks.length < 2) return { nodes: 0 };
      const lacks = (held: readonly string[]) => publicJwks.some(({ kid }) => !held.includes(kid));
      return { nodes: (await listEdgeKeysOfNodes(db)).filter(({ keyIds }) => lacks(keyIds)).length };
    }
    default:
      return {};
  }
}

/** How texts begin that are sealed under an accepted AUTH_SECRET other than the one in use. */
function otherPrefixes(env: Env): string[] {
  const { authSecret, beside } = config(env);
  return acceptedSecrets(authSecret, beside.AUTH_SECRET).slice(1).map(sealedPrefix);
}

/**
 * Carries a part of what is left over to the secrets in use. Safe to repeat; API keys and operator tokens carry themselves
 * over when they are used.
 * @returns how much was carried over; 0: nothing is left that this can do
 */
export async function carryOver(env: Env, nowMs: number): Promise<number> {
  const db = database(env);
  const factors = await encryptSecondFactorsAnew(env, CARRIED_AT_ONCE);
  const versions = await listSealedUnderOther(db, otherPrefixes(env), CARRIED_AT_ONCE);
  for (const version of versions) await keepEndpointSecret(env, version, nowMs);
  const inboxes = await inboxKeyIsLeft(env);
  if (inboxes) await keepInboxKey(env, nowMs);
  return factors + versions.length + Number(inboxes);
}
