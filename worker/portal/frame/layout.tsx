/** The layout of every page: head, header with navigation, the page's content, footer with the choice of language. */
import { html } from 'hono/html';
import type { Child } from 'hono/jsx';
import { type Area, isRoleAllowed, type MemberRole } from '../../domain/team.ts';
import { LOCALE_NAMES, LOCALES } from '../../i18n/locale.ts';
import { Contact } from './contact.tsx';
import { type PortalContext, words } from './context.ts';
import { Mark } from './mark.tsx';

const ICON = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="5" fill="#1d4a3d"/><path d="M6 19V8M5 19h4M6 10l13-4" stroke="#f0b24b" stroke-width="2.6" stroke-linecap="round"/></svg>',
)}`;

export interface PageProps {
  readonly title: string;
  /** path that the language switch returns to; default: the request's own path and query */
  readonly back?: string;
  readonly status?: 200 | 403 | 404 | 405 | 410 | 413 | 422 | 429 | 500 | 502;
  /** limits the content to reading width, for forms and prose; default: the full width, for tables */
  readonly narrow?: boolean;
}

/** Responds with a whole page. */
export function page(c: PortalContext, props: PageProps, content: Child): Response | Promise<Response> {
  const { t, locale } = words(c);
  const url = new URL(c.req.url);
  const back = props.back ?? url.pathname + url.search;
  return c.html(
    html`<!doctype html>${(
      <html lang={locale}>
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="color-scheme" content="light dark" />
          <title>{`${props.title} · Tollgate`}</title>
          <link rel="icon" href={ICON} />
          <link rel="stylesheet" href="/app.css" />
        </head>
        <body class="flex min-h-dvh flex-col bg-base-100 text-base-content">
          <a
            href="#content"
            class="sr-only focus:not-sr-only focus:absolute focus:z-10 focus:bg-base-100 focus:p-3"
          >
            {t.nav.skip}
          </a>
          <Header c={c} path={url.pathname} />
          <main
            id="content"
            class={`mx-auto w-full grow px-4 py-8 sm:px-6 sm:py-10 ${props.narrow ? 'max-w-xl' : 'max-w-6xl'}`}
          >
            {c.get('suspended') && (
              <p role="status" class="alert alert-soft alert-warning mb-6 text-sm">
                <span>
                  {t.problem.suspendedNote} <Contact c={c} />
                </span>
              </p>
            )}
            {content}
          </main>
          <Footer c={c} back={back} />
        </body>
      </html>
    )}`,
    props.status ?? 200,
  );
}

function Header({ c, path }: { c: PortalContext; path: string }) {
  const { t } = words(c);
  return (
    <header class="border-b border-base-300">
      <div class="mx-auto flex max-w-6xl flex-wrap items-center gap-x-6 gap-y-1 px-4 py-2 sm:px-6">
        <a href="/" class="flex items-center gap-2 py-1.5 text-base font-semibold tracking-tight">
          <Mark />
          Tollgate
        </a>
        <SessionActions c={c} path={path} />
        <nav aria-label={t.nav.label} class="-mx-2 w-full sm:mx-0 sm:w-auto">
          <ul class="flex flex-wrap gap-x-1">
            {navigationLinks(c).map(([href, text]) => (
              <li>
                <a
                  href={href}
                  aria-current={path === href ? 'page' : undefined}
                  class="muted block border-b-2 border-transparent px-2 py-1.5 text-sm whitespace-nowrap hover:text-base-content aria-[current=page]:border-accent aria-[current=page]:font-medium aria-[current=page]:text-base-content sm:py-2"
                >
                  {text}
                </a>
              </li>
            ))}
          </ul>
        </nav>
      </div>
    </header>
  );
}

function navigationLinks(c: PortalContext): (readonly [href: string, text: string])[] {
  const { nav } = words(c).t;
  const person = c.get('person');
  if (!person) {
    return [
      ['/pricing', nav.pricing],
      ['/status', nav.status],
      ['/docs', nav.docs],
    ];
  }
  const role = c.get('memberRole') as MemberRole | undefined;
  // pages that are open to anybody do not load the account: they show every link, and the linked page decides
  const mayRead = (area: Area) => role === undefined || isRoleAllowed(role, 'read', area);
  const link = (href: string, text: string) => [href, text] as const;
  return [
    link('/start', nav.start),
    ...(mayRead('playground') ? [link('/playground', nav.playground)] : []),
    link('/keys', nav.keys),
    link('/usage', nav.usage),
    link('/requests', nav.requests),
    link('/batches', nav.batches),
    ...(mayRead('billing') ? [link('/billing', nav.billing)] : []),
    link('/alerts', nav.alerts),
    link('/team', nav.team),
    ...(person.role === 'operator' ? [link('/operator/pool', nav.pool)] : []),
  ];
}

/** Settings and sign-out for a person, sign-in and sign-up for a visitor. */
function SessionActions({ c, path }: { c: PortalContext; path: string }) {
  const { t } = words(c);
  const person = c.get('person');
  return person ? (
    <form method="post" action="/sign-out" class="-me-3 ms-auto flex items-center gap-3 sm:order-3">
      <a
        href="/settings"
        class="muted text-sm hover:underline"
        title={t.nav.signedInAs(person.email)}
        aria-current={path === '/settings' ? 'page' : undefined}
      >
        {t.nav.settings}
      </a>
      <button class="btn btn-sm btn-ghost" type="submit">
        {t.nav.signOut}
      </button>
    </form>
  ) : (
    <div class="ms-auto flex items-center gap-2 sm:order-3">
      <a href="/sign-in" class="btn btn-sm btn-ghost" aria-current={path === '/sign-in' ? 'page' : undefined}>
        {t.nav.signIn}
      </a>
      {path === '/sign-up' ? null : (
        <a href="/sign-up" class="btn btn-sm btn-primary max-sm:hidden">
          {t.nav.signUp}
        </a>
      )}
    </div>
  );
}

function Footer({ c, back }: { c: PortalContext; back: string }) {
  const { t, locale } = words(c);
  return (
    <footer class="border-t border-base-300">
      <div class="muted mx-auto flex max-w-6xl flex-wrap items-center justify-between gap-x-6 gap-y-2 px-4 py-4 text-sm sm:px-6">
        <p>
          {t.footer}{' '}
          <a class="link" href="/pricing">
            {t.nav.pricing}
          </a>
          {' · '}
          <a class="link" href="/status">
            {t.nav.status}
          </a>
          {' · '}
          <a class="link" href="/docs">
            {t.nav.docs}
          </a>
          {' · '}
          <a class="link" href="/privacy">
            {t.legal.privacy}
          </a>
          {' · '}
          <a class="link" href="/terms">
            {t.legal.terms}
          </a>
        </p>
        <form
          method="post"
          action="/language"
          class="-mx-3 flex items-center gap-1"
          aria-label={t.nav.language}
        >
          <input type="hidden" name="back" value={back} />
          {LOCALES.map((each) => (
            <button
              type="submit"
              name="language"
              value={each}
              lang={each}
              aria-current={each === locale ? 'true' : undefined}
              class="btn btn-ghost btn-sm aria-[current=true]:underline aria-[current=true]:underline-offset-4"
            >
              {LOCALE_NAMES[each]}
            </button>
          ))}
        </form>
      </div>
    </footer>
  );
}
