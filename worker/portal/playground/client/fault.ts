/** A fault of a question, as the API or the page reports it, and the advice for it. */
import type { Phrases } from './data.ts';
import { fill } from './fill.ts';

export interface Fault {
  readonly message: string;
  /** code of the API's error, or one of the page's own: signed_out, key_not_found, offline, lost */
  readonly code: string;
  /** seconds; null: the API named no time */
  readonly retryAfterS: number | null;
}

/** The next step for the reader of a fault. */
export interface Advice {
  readonly text: string;
  readonly href?: string;
}

/** @param response with an error status; its body is the API's envelope, or comes from a proxy in front of the API */
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

export function adviceFor({ code, retryAfterS }: Fault, { todo }: Phrases): Advice {
  switch (code) {
    case 'insufficient_balance':
      return { text: todo.billing, href: '/billing' };
    case 'key_cap_reached':
    case 'manager_cap_reached':
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
