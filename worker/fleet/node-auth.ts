/** Authenticates nodes: a heartbeat carries a token that is signed with the key of the node's enrolment. */
import type { Context, MiddlewareHandler } from 'hono';
import { decodeJwt } from 'jose/jwt/decode';
import { jwtVerify } from 'jose/jwt/verify';
import { importJWK } from 'jose/key/import';
import { EDGE } from '../../gpu-pool/protocol/constants.ts';
import { database } from '../db/client.ts';
import { findNode, type NodeWithModel } from '../db/nodes.ts';
import { isId } from '../domain/ids.ts';
import type { Env } from '../env.ts';
import { refuse } from '../http/control-error.ts';

/**
 * Largest age of an isolate's copy of a node's row. It bounds how long a change by another isolate, such as a drain,
 * goes unseen.
 */
export const NODE_CACHE_AGE_MS_MAX = 5_000;
/** How far a node's clock may be off. */
const CLOCK_TOLERANCE_S = 30;

type KeyLike = Awaited<ReturnType<typeof importJWK>>;

/** Rows and keys by node id. Only existing nodes have entries, so it grows no larger than the fleet. */
const known = new Map<string, { row: NodeWithModel; key: KeyLike; readAtMs: number }>();

/** Makes the node's next heartbeat in this isolate read its row again. */
export function forgetNode(nodeId: string): void {
  known.delete(nodeId);
}

interface NodeEnv {
  Bindings: Env;
  Variables: {
    /** The authenticated node. */
    node: NodeWithModel;
    /** True where the answer's headers are not to be added to (http/response-headers.ts). */
    hasResponseHeaders?: boolean;
  };
}
/** Context of a route behind `nodesOnly`. */
export type NodeContext = Context<NodeEnv>;

/** Middleware that lets only authenticated nodes through. */
export const nodesOnly: MiddlewareHandler<NodeEnv> = async (c, next) => {
  const node = await authenticateNode(c.env, c.req.header('authorization'), Date.now());
  if (node === null) return refuse(c, 'node_token_invalid');
  c.set('node', node);
  await next();
};

/** @returns null for a token that is missing, malformed, expired, for another edge, or not signed by the node it names */
async function authenticateNode(
  env: Env,
  authorization: string | undefined,
  nowMs: number,
): Promise<NodeWithModel | null> {
  const token = /^Bearer ([\w.-]+)$/.exec(authorization ?? '')?.[1];
  const nodeId = token && claimedIssuer(token);
  if (!token || !nodeId || !isId('node', nodeId)) return null;
  const node = await readNode(env, nodeId, nowMs);
  if (node === null) return null;
  try {
    await jwtVerify(token, node.key, {
      algorithms: ['EdDSA', 'Ed25519'],
      issuer: nodeId,
      audience: EDGE,
      requiredClaims: ['exp'],
      currentDate: new Date(nowMs),
      clockTolerance: CLOCK_TOLERANCE_S,
    });
    return node.row;
  } catch {
    return null;
  }
}

/** The unverified issuer. It only selects the key; nothing in the token is trusted before the signature is checked. */
function claimedIssuer(token: string): string | undefined {
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

async function readNode(env: Env, nodeId: string, nowMs: number) {
  const cached = known.get(nodeId);
  if (cached && Math.abs(nowMs - cached.readAtMs) <= NODE_CACHE_AGE_MS_MAX) return cached;
  const row = await findNode(database(env), nodeId);
  if (row === null) return null;
  const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: row.publicKey }, 'EdDSA');
  const fresh = { row, key, readAtMs: nowMs };
  known.set(nodeId, fresh);
  return fresh;
}
