/**
 * Cookies and links that were signed under another AUTH_SECRET than the one in use, while it is rotated. better-auth knows
 * one secret for signatures, so what it is given is signed anew before it looks.
 */
import { createAuthMiddleware } from 'better-auth/api';
import { constantTimeEqual, makeSignature } from 'better-auth/crypto';
import { jwtVerify, SignJWT } from 'jose';
import type { Config } from '../env.ts';
import { acceptedSecrets } from '../lib/rotation.ts';

type Secrets = Pick<Config, 'authSecret' | 'beside'>;

const otherSecrets = ({ authSecret, beside }: Secrets): string[] =>
  acceptedSecrets(authSecret, beside.AUTH_SECRET).slice(1);

/** A better-auth plugin that accepts cookies of the other secrets. A session's cookie is also sent anew. */
export function acceptOldCookies(secrets: Secrets) {
  const others = otherSecrets(secrets);
  return {
    id: 'old-signatures',
    hooks: {
      before: [
        {
          matcher: ({ headers }: { headers?: Headers | undefined }) =>
            others.length > 0 && headers?.has('cookie') === true,
          handler: createAuthMiddleware(async (ctx) => {
            const { cookie, resigned } = await signedAnew(ctx.headers!.get('cookie')!, secrets);
            if (resigned.size === 0) return;
            const { name, attributes } = ctx.context.authCookies.sessionToken;
            const token = resigned.get(name);
            // a cookie of the upcoming secret is ahead of this isolate, and stays
            if (token?.isRetired && ctx.path === '/get-session')
              await ctx.setSignedCookie(name, token.value, secrets.authSecret, attributes);
            return { context: { headers: new Headers({ cookie }) } };
          }),
        },
      ],
    },
  };
}

interface Resigned {
  readonly value: string;
  /** Whether it was signed by a secret that is on its way out. */
  readonly isRetired: boolean;
}

/** The header with the cookies of other secrets signed by the one in use, and which those are. */
async function signedAnew(header: string, { authSecret, beside }: Secrets) {
  const others = otherSecrets({ authSecret, beside });
  const resigned = new Map<string, Resigned>();
  const parts = header.split(/;\s*/).map(async (part) => {
    const [name = '', encoded = ''] = [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)];
    const signed = decoded(encoded);
    const at = signed.lastIndexOf('.');
    if (!name.includes('tollgate.') || at < 1) return part;
    const [value, signature] = [signed.slice(0, at), signed.slice(at + 1)];
    for (const secret of others) {
      if (!constantTimeEqual(await makeSignature(value, secret), signature)) continue;
      resigned.set(name, { value, isRetired: secret !== beside.AUTH_SECRET.upcoming });
      return `${name}=${encodeURIComponent(`${value}.${await makeSignature(value, authSecret)}`)}`;
    }
    return part;
  });
  return { cookie: (await Promise.all(parts)).join('; '), resigned };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

/** The token of a link that verifies an e-mail address, signed by the secret in use if another accepted one signed it. */
export async function emailTokenSignedAnew(secrets: Secrets, token: string): Promise<string> {
  const bytes = (secret: string) => new TextEncoder().encode(secret);
  for (const secret of otherSecrets(secrets)) {
    try {
      const { payload } = await jwtVerify(token, bytes(secret), { algorithms: ['HS256'] });
      return await new SignJWT(payload).setProtectedHeader({ alg: 'HS256' }).sign(bytes(secrets.authSecret));
    } catch {
      // another secret signed it, or none
    }
  }
  return token;
}
