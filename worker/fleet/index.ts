/** The fleet's doors: nodes enrol and report, agents read the edge's public key. */
import { Hono } from 'hono';
import { ENROL_PATH, HEARTBEAT_PATH, JWKS_PATH } from '../../gpu-pool/protocol.ts';
import type { NodeWithPaths } from '../db/nodes.ts';
import { config, type Env } from '../env.ts';
import { atMost } from './body.ts';
import { publicJwks } from './edge-keys.ts';
import { enrol } from './enrol.ts';
import { HEARTBEAT_BYTES_MAX, heartbeat } from './heartbeat.ts';
import { authenticateNode } from './node-auth.ts';
import { refuse } from './refusal.ts';

export const fleet = new Hono<{ Bindings: Env; Variables: { node: NodeWithPaths } }>();

fleet.get(JWKS_PATH, async (c) => {
  c.header('cache-control', 'public, max-age=300');
  return c.json(await publicJwks(config(c.env)));
});

fleet.post(ENROL_PATH, atMost(16 * 1024), enrol);

// The signature comes before the body: nobody but a node makes the edge read a megabyte.
fleet.post(
  HEARTBEAT_PATH,
  async function nodesOnly(c, next) {
    const node = await authenticateNode(c.env, c.req.header('authorization'), Date.now());
    if (node === null) return refuse(c, 'node_token_invalid');
    c.set('node', node);
    await next();
  },
  atMost(HEARTBEAT_BYTES_MAX),
  heartbeat,
);
