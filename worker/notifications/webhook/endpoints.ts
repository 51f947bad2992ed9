/** Webhook endpoints of an account: adding one, rotating its secret, sending a test. Each stays within the account. */
import { database } from '../../db/client.ts';
import { openDeliveries } from '../../db/notice-deliveries.ts';
import { insertNotice } from '../../db/notices.ts';
import {
  ENDPOINTS_MAX,
  findEndpoint,
  insertEndpoint,
  listEndpoints,
  rotateEndpointSecret,
} from '../../db/webhook-endpoints.ts';
import { newId } from '../../domain/ids.ts';
import { config, type Env } from '../../env.ts';
import { noticeIdFor } from '../raise.ts';
import { keepEndpointSecret } from './endpoint-secret.ts';
import { checkEndpointUrl, type EndpointUrlFault } from './endpoint-url.ts';

type AddResult =
  | { ok: true; url: string; secret: string }
  /** `not_allowed`: the person has lost the right to add endpoints. */
  | { ok: false; fault: EndpointUrlFault | 'too_many_endpoints' | 'not_allowed' };

export async function addEndpoint(
  env: Env,
  request: { accountId: string; url: string; actor?: string; nowMs: number },
): Promise<AddResult> {
  const { accountId, actor = null, nowMs } = request;
  const checked = checkEndpointUrl(request.url, config(env));
  if (!checked.ok) return checked;
  const id = newId('hook', nowMs);
  const { url } = checked;
  const db = database(env);
  if (!(await insertEndpoint(db, { id, accountId, url, actor, nowMs }))) {
    const isFull = (await listEndpoints(db, accountId)).length >= ENDPOINTS_MAX;
    return { ok: false, fault: isFull ? 'too_many_endpoints' : 'not_allowed' };
  }
  return { ok: true, url, secret: await keepEndpointSecret(env, { id, secretVersion: 1 }, nowMs) };
}

/** @returns the new secret, or null when the account has no such endpoint */
export async function rotateEndpoint(
  env: Env,
  which: { accountId: string; endpointId: string; nowMs: number },
): Promise<{ url: string; secret: string } | null> {
  const endpoint = await rotateEndpointSecret(database(env), which);
  return endpoint && { url: endpoint.url, secret: await keepEndpointSecret(env, endpoint, which.nowMs) };
}

/** One test per 10 s, so that a double click sends one and the button cannot be used to flood another's server. */
const TEST_EVERY_MS = 10_000;

/** @returns false when the account has no such endpoint */
export async function testEndpoint(
  env: Env,
  request: { accountId: string; endpointId: string; nowMs: number },
): Promise<boolean> {
  const { accountId, endpointId, nowMs } = request;
  const db = database(env);
  if ((await findEndpoint(db, request)) === null) return false;
  const cause = `test of ${endpointId}, ${Math.floor(nowMs / TEST_EVERY_MS)}`;
  const notification = {
    id: await noticeIdFor(accountId, cause),
    accountId,
    atMs: nowMs,
    notice: { kind: 'endpoint.test', endpointId },
  } as const;
  await insertNotice(db, notification);
  // opened here and not by task `notify`, which would send the test to every endpoint and address
  const targets = [{ channel: 'webhook', target: endpointId }] as const;
  const [deliveryId] = await openDeliveries(db, { notification, targets, nowMs });
  if (deliveryId !== undefined) await env.TASKS.send({ kind: 'deliver', deliveryId });
  return true;
}
