/** The fleet's routes: nodes enrol and send heartbeats, and agents read the edge's public key. */
import { Hono } from 'hono';
import {
  ENROL_PATH,
  HEARTBEAT_PATH,
  JOINED_MODEL_PATH,
  JWKS_PATH,
  PULSE_PATH,
} from '../../gpu-pool/protocol/constants.ts';
import { config, type Env } from '../env.ts';
import { limitBody } from '../http/control-body.ts';
import { limitWrites } from '../http/write-limit.ts';
import { publicJwks } from '../tokens/edge-keys.ts';
import { nodesOnly } from './node-auth.ts';

/** Largest body of a heartbeat. A full one is under 64 KiB; the rest leaves room for the protocol to grow. */
const HEARTBEAT_BYTES_MAX = 1024 * 1024;

export const fleet = new Hono<{ Bindings: Env }>();

fleet.get(JWKS_PATH, async (c) => {
  c.header('cache-control', 'public, max-age=300');
  return c.json(await publicJwks(config(c.env)));
});

fleet.post(ENROL_PATH, limitWrites('enrol_network'), limitBody(16 * 1024), async (c) =>
  (await import('./enrol.ts')).enrol(c),
);

fleet.get(JOINED_MODEL_PATH, async (c) => (await import('./sold-model.ts')).joinedModel(c));

// The signature is checked before the body is read, so that only nodes can make the edge read a megabyte.
fleet.post(HEARTBEAT_PATH, nodesOnly, limitBody(HEARTBEAT_BYTES_MAX), async (c) =>
  (await import('./heartbeat.ts')).heartbeat(c),
);

fleet.get(PULSE_PATH, nodesOnly, async (c) => (await import('./pulse.ts')).openPulse(c));
