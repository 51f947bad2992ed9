/**
 * Plain HTTP, where the installation has an https origin: a page is redirected, a program is refused. A program that followed
 * a redirect would go on sending its key unencrypted first, and nobody would notice.
 */
import { ALWAYS, UNLESS_SET } from './safe-headers.ts';

const MESSAGE =
  'Plain HTTP is not served. Use https://, and revoke the key if one was sent: it crossed the network unencrypted.';

/** @returns null: the request came by HTTPS, or the installation is one without */
export function insecureAnswer(request: Request, publicOrigin: string): Response | null {
  if (!request.url.startsWith('http:') || !publicOrigin.startsWith('https:')) return null;
  const headers = new Headers({ ...ALWAYS, ...UNLESS_SET });
  const isPage = request.method === 'GET' && /\btext\/html\b/.test(request.headers.get('accept') ?? '');
  if (isPage) {
    const { pathname, search } = new URL(request.url);
    headers.set('location', publicOrigin + pathname + search);
    return new Response(null, { status: 308, headers });
  }
  headers.set('content-type', 'application/json');
  const error = { message: MESSAGE, type: 'invalid_request_error', param: null, code: 'https_required' };
  return new Response(JSON.stringify({ error }), { status: 403, headers });
}
