/** The frame of the sandbox's pages: plain HTML, no script. */
import type { Child } from 'hono/jsx';
import { BILLING_PAGE_PATH } from './pages.ts';
import { type Language, WORDS } from './words.ts';

export function BackLink({ language }: { language: Language }) {
  return (
    <a class="link" href={BILLING_PAGE_PATH}>
      {WORDS[language].back}
    </a>
  );
}

export function Shell({
  language,
  title,
  children,
}: {
  language: Language;
  title: string;
  children?: Child;
}) {
  return (
    <html lang={language}>
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="robots" content="noindex" />
        <title>{`${title} · Tollgate`}</title>
        <link rel="stylesheet" href="/app.css" />
      </head>
      <body class="min-h-dvh bg-base-200 px-4 text-base-content">
        <main class="mx-auto my-12 flex max-w-md flex-col gap-4 rounded-box border border-base-300 bg-base-100 p-6">
          <h1 class="text-xl font-semibold">{title}</h1>
          {children}
        </main>
      </body>
    </html>
  );
}
