/** Parts that the pages for revoking and rotating a key share. */
import type { Child } from 'hono/jsx';
import { database } from '../../db/client.ts';
import { type ApiKeyRow, findKey } from '../../db/keys.ts';
import { maskedApiKey } from '../../domain/api-key.ts';
import { isId } from '../../domain/ids.ts';
import { type PortalContext, words } from '../frame/context.ts';
import { page } from '../frame/layout.tsx';
import { keyState } from './key-state.ts';

/** The account's active key that the path names; null: there is none, or it belongs to another account. */
export async function activeKey(c: PortalContext): Promise<ApiKeyRow | null> {
  const which = { accountId: c.get('accountId'), keyId: c.req.param('keyId') ?? '' };
  const key = isId('key', which.keyId) ? await findKey(database(c.env), which) : null;
  return key && keyState(key, Date.now()) === 'active' ? key : null;
}

/** The page that asks before a key is changed. */
export function confirmKeyPage(
  c: PortalContext,
  question: { key: ApiKeyRow; title: string; text: string; form: Child; status?: 200 | 422 },
) {
  const { key, title, text, form, status = 200 } = question;
  return page(
    c,
    { title, narrow: true, status, back: '/keys' },
    <>
      <h1 class="mb-3">
        <bdi>{title}</bdi>
      </h1>
      <p class="mb-3 font-mono text-sm">{maskedApiKey(key.lastFour)}</p>
      <p class="mb-6">{text}</p>
      {form}
    </>,
  );
}

interface ButtonsProps {
  readonly c: PortalContext;
  readonly tone: 'btn-primary' | 'btn-error';
  readonly submit: string;
}

/** The button that submits the form, and the way back to the keys. */
export function ConfirmButtons({ c, tone, submit }: ButtonsProps) {
  return (
    <>
      <button class={`btn ${tone}`} type="submit">
        {submit}
      </button>
      <a class="btn" href="/keys">
        {words(c).t.keys.cancel}
      </a>
    </>
  );
}
