/** What people and payment providers come to: billing's doors, then the portal, which answers every path. */
import { Hono } from 'hono';
import { billing } from './billing/index.ts';
import type { Env } from './env.ts';
import { portal } from './portal/index.tsx';

export const site = new Hono<{ Bindings: Env }>();

site.route('/', billing);
site.route('/', portal);
