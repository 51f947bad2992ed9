/** The operator API's action on a person: to end their sessions. */
import { Hono } from 'hono';
import * as z from 'zod';
import { database } from '../db/client.ts';
import { findPersonByEmail } from '../db/people.ts';
import { parseBody } from '../http/control-body.ts';
import { refuse } from '../http/control-error.ts';
import { endAllSessions } from '../identity/sessions.ts';
import type { OperatorEnv } from './token.ts';

const PersonRequest = z.strictObject({ email: z.email().max(254) });

export const peopleApi = new Hono<OperatorEnv>();

peopleApi.post('/end-sessions', async (c) => {
  const body = await parseBody(c, PersonRequest);
  if (body instanceof Response) return body;
  const personId = await findPersonByEmail(database(c.env), body.email);
  if (personId === null) return refuse(c, 'person_not_found', { param: 'email' });
  const order = { personId, actor: c.get('actor'), nowMs: Date.now() };
  const ended = await endAllSessions(c.env, order);
  return c.json({ id: personId, sessions_ended: ended });
});
