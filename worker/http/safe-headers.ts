/** Headers that every answer has, whatever it is: API, page, redirect, error, file. */

/** A year, as browsers' preload lists and ASVS 3.4.1 ask; subdomains of the edge's host, too. */
export const HSTS = 'max-age=31536000; includeSubDomains';

/** These are set on every answer, over what a part of it may have set. */
export const ALWAYS = {
  'strict-transport-security': HSTS,
  // a browser takes an answer for what its content type says, never for a script that it looks like
  'x-content-type-options': 'nosniff',
} as const;

/**
 * The policy of an answer that is no page. A browser that opens it directly runs nothing in it, embeds it nowhere and gives
 * it no origin.
 */
const NO_PAGE = "default-src 'none'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox";

/** These are set where a part has not decided otherwise: answers hold keys, tokens and balances unless it says not. */
export const UNLESS_SET = {
  'content-security-policy': NO_PAGE,
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
} as const;
