/**
 * What people, payment providers and the operator's scripts come to: the operator's and billing's doors, then the portal,
 * which answers every path.
 */
import { Hono } from 'hono';
import { billing } from './billing/index.ts';
import type { Env } from './env.ts';
import { operator } from './operator/index.ts';
import { portal } from './portal/index.tsx';

export const site = new Hono<{ Bindings: Env }>();

// whatever fails here is said as by the rest of the Worker (index.ts)
site.onError((error) => {
  throw error;
});

site.route('/operator/api', operator);
site.route('/', billing);
site.route('/', portal);
