/** The operator API's rotation of secrets: where each stands, and the work that carries data over; see `npm run rotate`. */
import { Hono } from 'hono';
import { carryOver, rotationStates } from '../identity/secret-rotation.ts';
import type { OperatorEnv } from './token.ts';

export const secretsApi = new Hono<OperatorEnv>();

secretsApi.get('/', async (c) => c.json({ secrets: await rotationStates(c.env, Date.now()) }));

secretsApi.post('/carry-over', async (c) => c.json({ carried_over: await carryOver(c.env, Date.now()) }));
