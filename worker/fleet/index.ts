/** The fleet's doors: nodes enrol and report, agents read the edge's public key. */
import { Hono } from 'hono';
import { ENROL_PATH, HEARTBEAT_PATH, JWKS_PATH } from '../../gpu-pool/protocol/constants.ts';
import { config, type Env } from '../env.ts';
import { atMost } from '../http/control-body.ts';
import { publicJwks } from '../tokens/edge-keys.ts';
import { nodesOnly } from './node-auth.ts';

/** A full heartbeat is under 64 KiB; the rest is room for a protocol that grows. */
const HEARTBEAT_BYTES_MAX = 1024 * 1024;

export const fleet = new Hono<{ Bindings: Env }>();

fleet.get(JWKS_PATH, async (c) => {
  c.header('cache-control', 'public, max-age=300');
  return c.json(await publicJwks(config(c.env)));
});

fleet.post(ENROL_PATH, atMost(16 * 1024), async (c) => (await import('./enrol.ts')).enrol(c));

// The signature comes before the body: nobody but a node makes the edge read a megabyte.
fleet.post(HEARTBEAT_PATH, nodesOnly, atMost(HEARTBEAT_BYTES_MAX), async (c) =>
  (await import('./heartbeat.ts')).heartbeat(c),
);
