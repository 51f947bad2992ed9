/** A page that asks for an address to send a link to, and what it says then: the same whoever is there. */
import * as z from 'zod';
import type { Fault } from '../../i18n/en/index.ts';
import { sendsEmail } from '../../notifications/email/send.ts';
import { Callout } from '../components/callout.tsx';
import { TextField } from '../components/field.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import { type Faults, readForm, type Typed } from '../frame/form.ts';
import { page } from '../frame/layout.tsx';

const fault = (word: Fault) => ({ error: word });

export const EmailForm = z.object({ email: z.email(fault('email')).max(254, fault('email')) });

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
  const { t, f } = words(c);
  const { typed, faults, waitMs = 0 } = state;
  return page(
    c,
    { title: texts.title, narrow: true, status: waitMs > 0 ? 429 : faults ? 422 : 200 },
    <>
      <h1 class="mb-2">{texts.title}</h1>
      <p class="mb-6">{texts.lead}</p>
      {waitMs > 0 && <Callout tone="error">{t.tooManyAttempts(f.duration(waitMs))}</Callout>}
      {!sendsEmail(c.env) ? (
        <Callout tone="warning">{t.people.noLetters}</Callout>
      ) : (
        <form method="post" class="grid gap-5" novalidate>
          <TextField
            c={c}
            typed={typed}
            faults={faults}
            name="email"
            label={t.signUp.email}
            type="email"
            autocomplete="username"
            required
          />
          <button class="btn btn-primary" type="submit">
            {texts.submit}
          </button>
        </form>
      )}
      <p class="mt-6 text-sm">
        <a class="link" href="/sign-in">
          {t.signIn.title}
        </a>
      </p>
    </>,
  );
}

/** @param ask answers how long to wait, in ms; 0: it was asked for */
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

/** A link that leads nowhere any more. */
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
