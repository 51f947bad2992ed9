/** The map of the Worker: its parts in reading order, and the Durable Objects it exports. */
import { Hono } from 'hono';
import type { Env } from './env.ts';

export { Pool } from './durable/pool.ts';
export { Wallet } from './durable/wallet.ts';

const app = new Hono<{ Bindings: Env }>();

app.get('/healthz', (c) => c.json({ ok: true }));

export default app;
