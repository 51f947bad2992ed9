/**
 * Task `letter`: a letter to one person, written in their language when it leaves. It goes through the queue, so that a
 * page answers at once, whether or not there is anybody to write to, and a mail service that is away costs no letter.
 */
import { database } from '../../db/client.ts';
import { findCorrespondent } from '../../db/people.ts';
import type { AccountEmail } from '../../domain/account-email.ts';
import { newId } from '../../domain/ids.ts';
import { DONE, type TaskResult } from '../../domain/task-result.ts';
import type { Env } from '../../env.ts';
import { formats } from '../../i18n/formats.ts';
import { LOCALES, type Locale, MESSAGES } from '../../i18n/locale.ts';
import { mailer } from './mailer.ts';
import { renderEmail } from './template.tsx';
import { accountEmailWords } from './wording.ts';

export interface EmailAddressee {
  readonly letterId: string;
  readonly to: string;
  /** of whoever asked for it; the language that the person has chosen themselves comes first */
  readonly locale: Locale;
  readonly post: AccountEmail;
}

/** Whether this installation sends letters at all. */
export function sendsEmail(env: Env): boolean {
  return mailer(env) !== null;
}

export async function sendAccountEmail(
  env: Env,
  envelope: Omit<EmailAddressee, 'letterId'>,
  nowMs: number,
): Promise<void> {
  await env.TASKS.send({ kind: 'letter', letterId: newId('ltr', nowMs), ...envelope });
}

/** Safe to repeat: a letter that comes twice says the same. A link that has been used is spent, whoever has it. */
export async function deliverAccountEmail(
  env: Env,
  { letterId, to, locale, post }: EmailAddressee,
): Promise<TaskResult> {
  const sender = mailer(env);
  const person = await findCorrespondent(database(env), to);
  // a link to sign in is for people who are here, and never instead of a second factor
  const unwanted = post.kind === 'sign_in' && (person === null || person.twoFactorEnabled);
  if (sender === null || unwanted) return DONE;
  const language = LOCALES.find((each) => each === person?.locale) ?? locale;
  const words = { t: MESSAGES[language], f: formats(language) };
  const part = {
    locale: language,
    ...accountEmailWords(post, words, { verified: person?.emailVerified ?? false }),
  };
  const attempt = await sender.send({ to, ...renderEmail([part]) });
  if (attempt.ok) return DONE;
  if (attempt.retry) throw new Error(`the letter was not taken: ${attempt.fault}`);
  console.error(JSON.stringify({ event: 'letter_refused', letterId, fault: attempt.fault }));
  return DONE;
}
