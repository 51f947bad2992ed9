/** Named tokens of the operator API: an operator makes them on a page, the deploy-time token through the API. */
import { database } from '../db/client.ts';
import {
  DEPLOY_TOKEN_ACTOR,
  findOperatorToken,
  insertOperatorToken,
  noteOperatorTokenUse,
} from '../db/operator-tokens.ts';
import { hashApiKey } from '../domain/api-key.ts';
import { newId } from '../domain/ids.ts';
import {
  isOperatorToken,
  newOperatorToken,
  OPERATOR_TOKENS_MAX,
  type OperatorScope,
} from '../domain/operator-scopes.ts';
import { config, type Env } from '../env.ts';
import { describeError } from '../lib/describe-error.ts';
import { acceptedSecrets } from '../lib/rotation.ts';
import { acceptedPeppers, pepperKey } from '../tokens/pepper.ts';

const DAY_MS = 86_400_000;

/** A caller of the operator API. */
export interface OperatorCaller {
  /** For the audit trail: `operator-token`, or `operator-token:NAME`. */
  readonly actor: string;
  /** null: the deploy-time token, which may do everything. */
  readonly scopes: readonly OperatorScope[] | null;
}

/** @returns the token, which is shown once and stored nowhere; null: the name is taken, or there are too many */
export async function makeOperatorToken(
  env: Env,
  order: { name: string; scopes: readonly OperatorScope[]; days: number; actor: string; nowMs: number },
): Promise<{ id: string; token: string; expiresAtMs: number } | null> {
  const { name, scopes, days, actor, nowMs } = order;
  const token = newOperatorToken();
  const pepper = await pepperKey(config(env));
  const row = {
    id: newId('optok', nowMs),
    name,
    hash: await hashApiKey(token, pepper.hmac),
    pepperId: pepper.id,
    lastFour: token.slice(-4),
    scopes,
    createdBy: actor,
    createdAtMs: nowMs,
    expiresAtMs: nowMs + days * DAY_MS,
  };
  const made = await insertOperatorToken(database(env), { row, max: OPERATOR_TOKENS_MAX });
  return made ? { id: row.id, token, expiresAtMs: row.expiresAtMs } : null;
}

/** @returns null: the token is none of this edge, has expired, was revoked, or its maker is no operator any more */
export async function operatorCaller(env: Env, token: string, nowMs: number): Promise<OperatorCaller | null> {
  const { operatorToken, beside } = config(env);
  const deployTokens = acceptedSecrets(operatorToken, beside.OPERATOR_TOKEN);
  const same = await Promise.all(deployTokens.map((each) => isSame(token, each)));
  if (same.includes(true)) return { actor: DEPLOY_TOKEN_ACTOR, scopes: null };
  if (!isOperatorToken(token)) return null;
  const db = database(env);
  const peppers = await acceptedPeppers(config(env));
  const hashes = await Promise.all(peppers.map(({ hmac }) => hashApiKey(token, hmac)));
  const row = await findOperatorToken(db, { hashes, nowMs });
  if (row === null) return null;
  const use = { id: row.id, hash: hashes[0]!, pepperId: peppers[0]!.id, nowMs };
  await noteOperatorTokenUse(db, use).catch((error) =>
    console.error(JSON.stringify({ event: 'token_use_failed', id: row.id, error: describeError(error) })),
  );
  return { actor: `${DEPLOY_TOKEN_ACTOR}:${row.name}`, scopes: row.scopes };
}

/**
 * Compares digests, which all have one length, so that the time taken reveals neither content nor length of the
 * token.
 */
async function isSame(a: string, b: string): Promise<boolean> {
  const digest = (text: string) => crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  const [left, right] = await Promise.all([digest(a), digest(b)]);
  return crypto.subtle.timingSafeEqual(left, right);
}
