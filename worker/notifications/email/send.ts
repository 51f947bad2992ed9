/**
 * Task `letter`: an account e-mail to one person, written in their language when it is sent. It goes through the queue
 * so that a page answers equally fast whether or not the address is known, and an outage of the mail service loses no
 * e-mail. The task's fields are stored words: `letter`, `letterId` and `post` are the account e-mail.
 */
import { database } from '../../db/client.ts';
import { findEmailRecipient } from '../../db/people.ts';
import { type AccountEmail, needsConfirmedAddress } from '../../domain/account-email.ts';
import { newId } from '../../domain/ids.ts';
import { DONE, type TaskResult } from '../../domain/task-result.ts';
import type { Env } from '../../env.ts';
import { formats } from '../../i18n/formats.ts';
import { LOCALES, type Locale, MESSAGES } from '../../i18n/locale.ts';
import { LoggableError } from '../../lib/describe-error.ts';
import { takeAttempt } from '../../rate-limits/attempts.ts';
import { mailer } from './mailer.ts';
import { renderEmail } from './template.tsx';
import { accountEmailWords } from './wording.ts';

export interface AccountEmailTask {
  readonly letterId: string;
  readonly to: string;
  /** the requesting page's language; used only if the person has chosen none */
  readonly locale: Locale;
  readonly post: AccountEmail;
}

/** Whether this installation can send e-mail at all. */
export function sendsEmail(env: Env): boolean {
  return mailer(env) !== null;
}

export async function sendAccountEmail(
  env: Env,
  email: Omit<AccountEmailTask, 'letterId'>,
  nowMs: number,
): Promise<void> {
  if (email.post.kind === 'sign_in_changed' && !(await mayWarn(env, email.to, nowMs))) return;
  await env.TASKS.send({ kind: 'letter', letterId: newId('ltr', nowMs), ...email });
}

/** An address need not be its user's own: without a limit, changes back and forth would flood its true owner. */
async function mayWarn(env: Env, to: string, nowMs: number): Promise<boolean> {
  const { allowed } = await takeAttempt(env, [{ rule: 'warning_email', subject: to }], nowMs);
  if (!allowed) console.warn(JSON.stringify({ event: 'warning_left_out' }));
  return allowed;
}

/** Safe to repeat: an e-mail that arrives twice says the same, and its link still works only once. */
export async function deliverAccountEmail(
  env: Env,
  { letterId, to, locale, post: email }: AccountEmailTask,
  nowMs: number,
): Promise<TaskResult> {
  const mail = mailer(env);
  const person = await findEmailRecipient(database(env), to);
  // a sign-in link goes only to known people, and never replaces a second factor
  const unwanted = email.kind === 'sign_in' && (person === null || person.twoFactorEnabled);
  const unconfirmed = needsConfirmedAddress(email) && person?.emailVerified !== true;
  if (mail === null || unwanted || unconfirmed) return DONE;
  if (email.kind === 'receipt') {
    const byInbox = { rule: 'receipt_email', subject: to } as const;
    const { allowed, retryAfterMs } = await takeAttempt(env, [byInbox], nowMs);
    // a receipt comes later rather than never: whatever it confirms was paid for
    if (!allowed) return { done: false, retryInMs: retryAfterMs };
  }
  const language = LOCALES.find((each) => each === person?.locale) ?? locale;
  const words = { t: MESSAGES[language], f: formats(language) };
  const content = {
    locale: language,
    ...accountEmailWords(email, words, { verified: person?.emailVerified ?? false }),
  };
  const attempt = await mail.send({ to, ...renderEmail([content]) });
  if (attempt.ok) return DONE;
  if (attempt.retry) throw new LoggableError(`the e-mail was not accepted: ${attempt.fault}`);
  console.error(JSON.stringify({ event: 'letter_refused', letterId, fault: attempt.fault }));
  return DONE;
}
