/** The page that asks for the address to send a link to. Its answer is the same whether or not the address is known. */
import * as z from 'zod';
import { sendsEmail } from '../../notifications/email/send.ts';
import { Callout } from '../components/callout.tsx';
import { TooManyAttempts } from '../components/too-many-attempts.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import { Email, type Faults, readForm, type Typed } from '../frame/form.ts';
import { page } from '../frame/layout.tsx';
import { EmailField, SignInLink } from './sign-in-parts.tsx';

export const EmailForm = z.object({ email: Email });

export interface AskTexts {
  readonly title: string;
  readonly lead: string;
  readonly submit: string;
}

interface State {
  readonly typed?: Typed;
  readonly faults?: Faults;
  readonly waitMs?: number;
}

export function askEmail(c: PortalContext, texts: AskTexts, state: State = {}) {
  const { t } = words(c);
  const { typed, faults, waitMs = 0 } = state;
  return page(
    c,
    { title: texts.title, narrow: true, status: waitMs > 0 ? 429 : faults ? 422 : 200 },
    <>
      <h1 class="mb-2">{texts.title}</h1>
      <p class="mb-6">{texts.lead}</p>
      {waitMs > 0 && <TooManyAttempts c={c} waitMs={waitMs} />}
      {!sendsEmail(c.env) ? (
        <Callout tone="warning">{t.people.noEmail}</Callout>
      ) : (
        <form method="post" class="grid gap-5" novalidate>
          <EmailField c={c} typed={typed} faults={faults} />
          <button class="btn btn-primary" type="submit">
            {texts.submit}
          </button>
        </form>
      )}
      <SignInLink c={c} />
    </>,
  );
}

/** Answers the page's form. @param ask requests the e-mail; @returns 0, or how long to wait before asking again, in ms */
export async function answerEmail(
  c: PortalContext,
  texts: AskTexts,
  ask: (email: string) => Promise<number>,
): Promise<Response> {
  const read = await readForm(c, EmailForm);
  if (!read.ok) return askEmail(c, texts, read);
  if (!sendsEmail(c.env)) return askEmail(c, texts);
  const waitMs = await ask(read.values.email);
  if (waitMs > 0) return askEmail(c, texts, { typed: read.typed, waitMs });
  const { t } = words(c);
  return page(
    c,
    { title: t.people.sentTitle, narrow: true, back: '/' },
    <>
      <h1 class="mb-3">{t.people.sentTitle}</h1>
      <p class="break-words">{t.people.sent(read.values.email)}</p>
    </>,
  );
}

/** The page of a link that was used or has expired. @param again path at which a new link can be asked for; null: none */
export function linkOver(c: PortalContext, again: string | null, texts?: { title: string; text: string }) {
  const { t } = words(c);
  const { title, text } = texts ?? { title: t.people.overTitle, text: t.people.over };
  return page(
    c,
    { title, narrow: true, status: 410, back: '/' },
    <>
      <h1 class="mb-3">{title}</h1>
      <p class="mb-6">{text}</p>
      {again && (
        <a class="btn btn-primary" href={again}>
          {t.people.again}
        </a>
      )}
    </>,
  );
}
