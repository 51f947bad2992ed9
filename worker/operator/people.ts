/** The operator API's actions on a person: to end their sessions, and to reset a second factor that they have lost. */
import { Hono } from 'hono';
import * as z from 'zod';
import { database } from '../db/client.ts';
import { findPersonByEmail } from '../db/people.ts';
import { parseBody } from '../http/control-body.ts';
import { refuse } from '../http/control-error.ts';
import { NameText } from '../http/fields.ts';
import { resetSecondFactor } from '../identity/reset-second-factor.ts';
import { endAllSessions } from '../identity/sessions.ts';
import type { OperatorEnv } from './token.ts';

const PersonRequest = z.strictObject({ email: z.email().max(254) });

const ResetRequest = PersonRequest.extend({
  /** How the person proved who they are, for the audit trail. */
  reason: NameText(500),
});

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

peopleApi.post('/reset-second-factor', async (c) => {
  const body = await parseBody(c, ResetRequest);
  if (body instanceof Response) return body;
  const personId = await findPersonByEmail(database(c.env), body.email);
  if (personId === null) return refuse(c, 'person_not_found', { param: 'email' });
  const order = { personId, reason: body.reason, actor: c.get('actor'), nowMs: Date.now() };
  const reset = await resetSecondFactor(c.env, order);
  if (!reset.ok) return refuse(c, reset.fault, { param: 'email' });
  return c.json({ id: personId, sessions_ended: reset.sessionsEnded });
});
