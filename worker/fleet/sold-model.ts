/**
 * The model as it is sold, of which nodes are told with its enrolment, with the reply to a heartbeat once it has changed, and
 * with a join token before the engine is set up.
 */
import type { Context } from 'hono';
import type { JoinedModel, SoldModel } from '../../gpu-pool/protocol/schemas.ts';
import { database } from '../db/client.ts';
import { findJoinToken, type SoldColumns } from '../db/nodes.ts';
import { config, type Env } from '../env.ts';
import { refuse } from '../http/control-error.ts';
import { sha256 } from '../lib/sha256.ts';
import { verifyJoinToken } from '../tokens/join-token.ts';

/** The hash needs to tell versions of one model apart, and is in every heartbeat. */
const VERSION_DIGITS = 16;

export function soldModel({ profile, contextTokens, outputTokensMax }: SoldColumns): SoldModel {
  const sold = { profile, context_tokens: contextTokens, output_tokens_max: outputTokensMax };
  return { version: sha256(JSON.stringify(sold)).slice(0, VERSION_DIGITS), ...sold };
}

/** The part of a heartbeat's reply about it: nothing where the agent holds this version. */
export function changedModel(sold: SoldColumns, heldVersion: string | undefined): { sold?: SoldModel } {
  const current = soldModel(sold);
  return current.version === heldVersion ? {} : { sold: current };
}

/** Answers a join token with what its node has to be set up for. The token is not used. */
export async function joinedModel(c: Context<{ Bindings: Env }>): Promise<Response> {
  const token = /^Bearer ([\w.-]{1,4096})$/.exec(c.req.header('authorization') ?? '')?.[1];
  const claims = token === undefined ? null : await verifyJoinToken(config(c.env), token, Date.now());
  const join = claims && (await findJoinToken(database(c.env), claims.jti));
  if (!join) return refuse(c, 'join_token_invalid');
  const { hardware } = claims;
  c.header('cache-control', 'no-store');
  return c.json({ model: join.modelId, hardware, sold: soldModel(join.sold) } satisfies JoinedModel);
}
