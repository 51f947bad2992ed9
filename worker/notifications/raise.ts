/**
 * Raises a notice from outside the Wallet. Its id is derived from the account and the cause alone, so raising it twice
 * for one cause makes one notice. The task is sent each time, because the first sender may have died before sending it.
 */
import { database } from '../db/client.ts';
import { insertNotice } from '../db/notices.ts';
import { newId } from '../domain/ids.ts';
import type { Notice } from '../domain/notice.ts';
import type { Env } from '../env.ts';

/** @param request.cause names the event, unique within the account: `recharge order_… declined` */
export async function raiseNotice(
  env: Env,
  request: { accountId: string; cause: string; notice: Notice; nowMs: number },
): Promise<void> {
  const { accountId, cause, notice, nowMs } = request;
  const id = await noticeIdFor(accountId, cause);
  await insertNotice(database(env), { id, accountId, atMs: nowMs, notice });
  await env.TASKS.send({ kind: 'notify', noticeId: id });
}

/** The id holds no time, because a repeated raise has a later one. Notices therefore sort by `at_ms`, not by id. */
export async function noticeIdFor(accountId: string, cause: string): Promise<string> {
  const bytes = new TextEncoder().encode(`notice to ${accountId}: ${cause}`);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return newId('note', 0, digest.subarray(0, 10));
}
