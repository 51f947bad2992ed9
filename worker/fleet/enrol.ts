/**
 * Enrolment: uses a join token once to register a node, which is known by its own key from then on. It gets
 * customers' requests after a canary.
 */
import type { Context } from 'hono';
import { importJWK } from 'jose';
import { type EnrolReply, EnrolRequest, Hardware } from '../../gpu-pool/protocol/schemas.ts';
import { database } from '../db/client.ts';
import { findJoinToken, findNode, type NodeRow, useJoinToken } from '../db/nodes.ts';
import { isVisible, visibleText } from '../domain/name.ts';
import { CAPACITY_TOKENS_PER_SECOND } from '../domain/node-capacity.ts';
import { checkNodeUrl } from '../domain/node-url.ts';
import { config, type Env } from '../env.ts';
import { parseBody } from '../http/control-body.ts';
import { refuse } from '../http/control-error.ts';
import { HIDDEN_CHARACTERS } from '../http/fields.ts';
import { verifyJoinToken } from '../tokens/join-token.ts';
import { soldModel } from './sold-model.ts';

/** Checks everything before it uses the token, so that a mistake in the agent's settings does not cost a token. */
export async function enrol(c: Context<{ Bindings: Env }>): Promise<Response> {
  const nowMs = Date.now();
  const settings = config(c.env);
  const db = database(c.env);

  const body = await parseBody(c, EnrolRequest);
  if (body instanceof Response) return body;
  const hidden = (['version', 'weight_version'] as const).find((name) => !isVisible(body.engine[name]));
  if (hidden)
    return refuse(c, 'body_invalid', { param: `engine.${hidden}`, detail: `It ${HIDDEN_CHARACTERS}.` });
  const claims = await verifyJoinToken(settings, body.join_token, nowMs);
  const join = claims && (await findJoinToken(db, claims.jti));
  if (!join) return refuse(c, 'join_token_invalid', { param: 'join_token' });

  if (!join.modelPaths.includes(body.engine.model_path)) {
    return refuse(c, 'model_path_not_accepted', {
      param: 'engine.model_path',
      detail: join.modelPaths.join(', '),
    });
  }
  const address = checkNodeUrl(body.url, settings);
  if (!address.ok) return refuse(c, 'node_url_refused', { param: 'url', detail: address.fault });
  if (!(await isEd25519(body.public_key.x))) return refuse(c, 'public_key_invalid', { param: 'public_key' });

  const hardware = Hardware.parse(join.hardware);
  const row: NodeRow = {
    // The node's id is made from the token's, so a token makes one node only, and a repeated call finds that node.
    id: join.id.replace('join_', 'node_'),
    name: join.nodeName,
    modelId: join.modelId,
    hardware,
    url: address.origin,
    publicKey: body.public_key.x,
    capacity: CAPACITY_TOKENS_PER_SECOND[hardware],
    engineVersion: clipVersion(body.engine.version),
    weightVersion: clipVersion(body.engine.weight_version),
    state: 'canary',
    enrolledAtMs: nowMs,
    revision: 0,
  };
  const enrolled = await useJoinToken(db, {
    joinId: join.id,
    row,
    entry: {
      atMs: nowMs,
      actor: `node:${row.id}`,
      action: 'node.enrolled',
      subject: row.id,
      detail: { join: join.id, url: row.url, model: row.modelId, hardware },
    },
  });
  // An agent whose reply was lost enrols again with the same key. It gets the same reply, and nothing is added.
  if (!enrolled && (await findNode(db, row.id))?.publicKey !== row.publicKey) {
    return refuse(c, 'join_token_used', { param: 'join_token' });
  }
  const reply: EnrolReply = {
    node_id: row.id,
    name: row.name,
    model: row.modelId,
    hardware,
    model_paths: [...join.modelPaths],
    sold: soldModel(join.sold),
  };
  return c.json(reply, enrolled ? 201 : 200);
}

/** An engine's version as a page can show it, in the length that a column needs to hold. */
export function clipVersion(version: string): string {
  return visibleText(version, 128);
}

async function isEd25519(x: string): Promise<boolean> {
  try {
    await importJWK({ kty: 'OKP', crv: 'Ed25519', x }, 'EdDSA');
    return true;
  } catch {
    return false;
  }
}
