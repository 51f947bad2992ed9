/** The fleet's doors: nodes enrol and report, agents read the edge's public key. */
import { Hono } from 'hono';
import { ENROL_PATH, HEARTBEAT_PATH, JWKS_PATH } from '../../gpu-pool/protocol-words.ts';
import { config } from '../env.ts';
import { atMost, type Fleet } from './body.ts';
import { publicJwks } from './edge-keys.ts';
import { authenticateNode } from './node-auth.ts';
import { refuse } from './refusal.ts';

/** A full heartbeat of 200 receipts is under 64 KiB; the rest is room for a protocol that grows. */
const HEARTBEAT_BYTES_MAX = 1024 * 1024;

export const fleet = new Hono<Fleet>();

fleet.get(JWKS_PATH, async (c) => {
  c.header('cache-control', 'public, max-age=300');
  return c.json(await publicJwks(config(c.env)));
});

fleet.post(ENROL_PATH, atMost(16 * 1024), async (c) => (await import('./enrol.ts')).enrol(c));

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
  async (c) => (await import('./heartbeat.ts')).heartbeat(c),
);
