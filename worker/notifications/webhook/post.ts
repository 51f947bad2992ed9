/** Posts a notice to an endpoint once, signed as Standard Webhooks 1.0.0 specifies. */

import type { WebhookEndpointRow } from '../../db/webhook-endpoints.ts';
import type { Notification } from '../../domain/notice.ts';
import { config, type Env } from '../../env.ts';
import { signWebhook } from '../../lib/standard-webhooks.ts';
import { ANSWER_WITHIN_MS, type Attempt } from '../attempt.ts';
import { webhookBody } from './body.ts';
import { signingSecrets } from './endpoint-secret.ts';
import { checkEndpointUrl } from './endpoint-url.ts';

/** @param request.webhookId the same at every attempt, so that a receiver can recognise a repeat */
export async function postWebhook(
  env: Env,
  request: { webhookId: string; endpoint: WebhookEndpointRow; notification: Notification; nowMs: number },
): Promise<Attempt> {
  const { webhookId, endpoint, notification, nowMs } = request;
  const checked = checkEndpointUrl(endpoint.url, config(env));
  if (!checked.ok) return { ok: false, status: null, fault: 'address_refused', retry: false };
  const body = new TextEncoder().encode(webhookBody(notification));
  const message = { id: webhookId, timestamp: String(Math.floor(nowMs / 1_000)), body };
  try {
    const response = await fetch(checked.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'Tollgate-Webhooks/1',
        ...(await signedHeaders(env, endpoint, message, nowMs)),
      },
      body,
      // a redirect could lead to an address that checkEndpointUrl refuses
      redirect: 'manual',
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    // only the status counts: the body is never read, so its size does not matter
    await response.body?.cancel().catch(() => undefined);
    return judge(response);
  } catch (error) {
    const timedOut = error instanceof Error && error.name === 'TimeoutError';
    return { ok: false, status: null, fault: timedOut ? 'timeout' : 'unreachable', retry: true };
  }
}

async function signedHeaders(
  env: Env,
  endpoint: WebhookEndpointRow,
  message: Parameters<typeof signWebhook>[1],
  nowMs: number,
): Promise<Record<string, string>> {
  const secrets = await signingSecrets(env, endpoint, nowMs);
  const signed = await Promise.all(secrets.map((secret) => signWebhook(secret, message)));
  const signatures = signed.map((headers) => headers['webhook-signature']);
  return { ...signed[0], 'webhook-signature': signatures.join(' ') };
}

function judge({ status, headers }: Response): Attempt {
  if (status >= 200 && status < 300) return { ok: true, status };
  if (status === 410) return { ok: false, status, fault: 'gone', retry: false };
  const fault = status >= 300 && status < 400 ? 'redirect' : 'status';
  const retryAfterS = Number(headers.get('retry-after') ?? Number.NaN);
  const retryAfterMs = Number.isSafeInteger(retryAfterS) && retryAfterS > 0 ? retryAfterS * 1_000 : undefined;
  return { ok: false, status, fault, retry: true, retryAfterMs };
}
