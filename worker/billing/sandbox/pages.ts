/** The middleware of all sandbox pages, and the page they lead back to. The pages exist in development only. */
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { html } from 'hono/html';
import { HTTPException } from 'hono/http-exception';
import type { Child } from 'hono/jsx';
import { secureHeaders } from 'hono/secure-headers';
import { config, type Env } from '../../env.ts';
import { isFromOwnPage } from '../../http/own-origin.ts';
import { isWrite, limitWrites } from '../../http/write-limit.ts';

/** The portal page that the customer comes from and returns to; its query carries the outcome. */
export const BILLING_PAGE_PATH = '/billing';

/** An empty app under `path`, with the guards of a page that takes money. */
export function sandboxPages(path: string) {
  const pages = new Hono<{ Bindings: Env }>().basePath(path);
  // The body's limit throws its refusal as HTTPException; other errors go on to the Worker's own handler.
  pages.onError((error) => {
    if (error instanceof HTTPException) return error.getResponse();
    throw error;
  });
  pages.use(
    limitWrites('form_network'),
    bodyLimit({ maxSize: 1024 }),
    async function ownForms(c, next) {
      const isOwn = isFromOwnPage(c.req.raw.headers, config(c.env).publicOrigin);
      return !isWrite(c.req.method) || isOwn ? next() : c.text('Forbidden', 403);
    },
    secureHeaders({
      contentSecurityPolicy: {
        defaultSrc: ["'none'"],
        objectSrc: ["'none'"],
        styleSrc: ["'self'"],
        formAction: ["'self'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
      },
      referrerPolicy: 'same-origin',
    }),
    async function neverStored(c, next) {
      await next();
      c.header('cache-control', 'no-store');
    },
  );
  return pages;
}

export function page(content: Child) {
  return html`<!doctype html>${content}`;
}
