/** Sends e-mail: an interface, and behind it Cloudflare's Email Service, or in development a mailbox to look into. */
import { config, type Env } from '../../env.ts';
import { ANSWER_WITHIN_MS, type DeliveryFault } from '../attempt.ts';
import { mailbox } from './dev-mailbox.ts';
import type { Mailer } from './email.ts';

/** null: nothing is set up that could send e-mail */
export function mailer(env: Env): Mailer | null {
  const { mailFrom, development } = config(env);
  if (mailFrom !== null && env.EMAIL) return emailService(env.EMAIL, mailFrom);
  return development ? mailbox(env) : null;
}

function emailService(binding: SendEmail, mailFrom: string): Mailer {
  return {
    async send(letter) {
      try {
        await within(
          ANSWER_WITHIN_MS,
          binding.send({ from: { email: mailFrom, name: 'Tollgate' }, ...letter }),
        );
        return { ok: true, status: null };
      } catch (error) {
        return { ok: false, status: null, ...verdict(String((error as { code?: unknown }).code)) };
      }
    },
  };
}

/** A binding cannot be told to give up; waiting for it for ever would keep the rest of the batch waiting, too. */
function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const signal = AbortSignal.timeout(ms);
  const late = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason)),
  );
  return Promise.race([work, late]);
}

/** By the service's codes (Cloudflare Email Service, Workers API, error codes). What has none may pass: it is tried again. */
function verdict(code: string): { fault: DeliveryFault; retry: boolean } {
  const known = VERDICTS[code];
  if (known) return known;
  const refused = code.startsWith('E_');
  return { fault: refused ? 'mail_refused' : 'mail_unavailable', retry: !refused };
}

const LATER = { fault: 'mail_unavailable', retry: true } as const;
const SENDER = { fault: 'mail_sender_refused', retry: false } as const;
const RECIPIENT = { fault: 'mail_recipient_refused', retry: false } as const;

const VERDICTS: Readonly<Record<string, { fault: DeliveryFault; retry: boolean }>> = {
  E_RATE_LIMIT_EXCEEDED: LATER,
  E_DAILY_LIMIT_EXCEEDED: LATER,
  E_INTERNAL_SERVER_ERROR: LATER,
  E_DELIVERY_FAILED: LATER,
  E_SENDER_NOT_VERIFIED: SENDER,
  E_SENDER_DOMAIN_NOT_AVAILABLE: SENDER,
  E_RECIPIENT_NOT_ALLOWED: RECIPIENT,
  E_RECIPIENT_SUPPRESSED: RECIPIENT,
};
