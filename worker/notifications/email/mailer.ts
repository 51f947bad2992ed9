/** The installation's mailer: Cloudflare's Email Service, or in development a mailbox that a page shows. */
import { config, type Env } from '../../env.ts';
import { ANSWER_WITHIN_MS, type DeliveryFault } from '../attempt.ts';
import { mailbox } from './dev-mailbox.ts';
import type { Mailer } from './email.ts';

/** @returns null: nothing is configured that could send e-mail */
export function mailer(env: Env): Mailer | null {
  const { mailFrom, development } = config(env);
  if (mailFrom !== null && env.EMAIL) return emailService(env.EMAIL, mailFrom);
  return development ? mailbox(env) : null;
}

function emailService(binding: SendEmail, mailFrom: string): Mailer {
  return {
    async send(email) {
      try {
        await within(
          ANSWER_WITHIN_MS,
          binding.send({ from: { email: mailFrom, name: 'Tollgate' }, ...email }),
        );
        return { ok: true, status: null };
      } catch (error) {
        return { ok: false, status: null, ...verdict(String((error as { code?: unknown }).code)) };
      }
    },
  };
}

/** Rejects after `ms`. A binding cannot be aborted, and waiting for it would hold up the rest of the queue's batch. */
function within<T>(ms: number, sending: Promise<T>): Promise<T> {
  const signal = AbortSignal.timeout(ms);
  const timedOut = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason)),
  );
  return Promise.race([sending, timedOut]);
}

/**
 * Judges an error by the service's code (Cloudflare Email Service, Workers API, error codes). An unknown `E_…` code is
 * a refusal; an error without a code may be passing, so the e-mail is tried again.
 */
function verdict(code: string): { fault: DeliveryFault; retry: boolean } {
  const known = VERDICTS[code];
  if (known) return known;
  const refused = code.startsWith('E_');
  return { fault: refused ? 'mail_refused' : 'mail_unavailable', retry: !refused };
}

const UNAVAILABLE = { fault: 'mail_unavailable', retry: true } as const;
const SENDER = { fault: 'mail_sender_refused', retry: false } as const;
const RECIPIENT = { fault: 'mail_recipient_refused', retry: false } as const;

const VERDICTS: Readonly<Record<string, { fault: DeliveryFault; retry: boolean }>> = {
  E_RATE_LIMIT_EXCEEDED: UNAVAILABLE,
  E_DAILY_LIMIT_EXCEEDED: UNAVAILABLE,
  E_INTERNAL_SERVER_ERROR: UNAVAILABLE,
  E_DELIVERY_FAILED: UNAVAILABLE,
  E_SENDER_NOT_VERIFIED: SENDER,
  E_SENDER_DOMAIN_NOT_AVAILABLE: SENDER,
  E_RECIPIENT_NOT_ALLOWED: RECIPIENT,
  E_RECIPIENT_SUPPRESSED: RECIPIENT,
};
