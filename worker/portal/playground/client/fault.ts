/** What went wrong with a question, as the API or the page says it, and what can be done. */
import type { Phrases } from './data.ts';
import { fill } from './fill.ts';

export interface Fault {
  readonly message: string;
  /** of the API's error, or a word of ours: signed_out, key_not_found, offline, lost */
  readonly code: string;
  /** seconds, null: the API named none */
  readonly retryAfterS: number | null;
}

export interface Todo {
  readonly text: string;
  readonly href?: string;
}

/** @param response not ok; its body is the API's envelope, or that of something in front of it */
export async function faultOf(response: Response): Promise<Fault> {
  const body = (await response.json().catch(() => null)) as { error?: ApiError } | null;
  const retryAfter = Number(response.headers.get('retry-after'));
  return {
    message: body?.error?.message ?? `HTTP ${response.status}`,
    code: body?.error?.code ?? '',
    retryAfterS: retryAfter > 0 ? retryAfter : null,
  };
}

export interface ApiError {
  readonly message: string;
  readonly code?: string;
}

export function todoFor({ code, retryAfterS }: Fault, { todo }: Phrases): Todo {
  switch (code) {
    case 'insufficient_balance':
      return { text: todo.billing, href: '/billing' };
    case 'key_cap_reached':
    case 'model_not_allowed':
    case 'key_not_found':
      return { text: todo.keys, href: '/keys' };
    case 'account_cap_reached':
      return { text: todo.alerts, href: '/alerts' };
    case 'signed_out':
      return { text: todo.signIn, href: '/sign-in?next=/playground' };
    case 'token_cap_reached':
      return { text: todo.token };
    case 'invalid_value':
    case 'body_too_large':
      return { text: todo.settings };
    default:
      return {
        text: retryAfterS === null ? todo.retry : fill(todo.wait, { seconds: String(retryAfterS) }),
      };
  }
}
