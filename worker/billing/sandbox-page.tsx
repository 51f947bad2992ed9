/** The sandbox's checkout page: plain HTML and one form, no script. */
import type { Child } from 'hono/jsx';
import type { PaymentOrder } from '../db/payments.ts';
import { NANO_PER_USD } from '../domain/money.ts';
import { type Language, WORDS } from './sandbox-words.ts';

/** Where the customer came from and goes back to; told by `?order=…` or `?top_up=declined` what came of it. */
export const BILLING_PAGE_PATH = '/billing';

export function CheckoutPage(props: { order: PaymentOrder; language: Language; failed?: boolean }) {
  const { order, language, failed } = props;
  const words = WORDS[language];
  const amount = new Intl.NumberFormat(language, {
    style: 'currency',
    currency: order.currency,
    currencyDisplay: 'narrowSymbol',
  }).format(order.amountNanoUsd / NANO_PER_USD);
  return (
    <Shell language={language} title={words.title}>
      <p class="alert alert-soft alert-warning" role="note">
        {words.notice}
      </p>
      {failed && (
        <p class="alert alert-soft alert-error" role="alert">
          {words.undelivered}
        </p>
      )}
      <dl>
        <dt class="text-sm">{words.amount}</dt>
        <dd class="text-3xl font-semibold">{amount}</dd>
        <dt class="mt-2 text-sm">{words.order}</dt>
        <dd class="break-all font-mono text-sm">{order.id}</dd>
      </dl>
      {order.state === 'paid' ? (
        <>
          <p role="status">{words.paid}</p>
          <BackLink language={language} />
        </>
      ) : (
        <form method="post" class="flex flex-col gap-2">
          <button class="btn btn-primary" type="submit" name="decision" value="paid">
            {words.pay(amount)}
          </button>
          <button class="btn" type="submit" name="decision" value="declined">
            {words.decline}
          </button>
        </form>
      )}
    </Shell>
  );
}

export function UnknownOrderPage({ language }: { language: Language }) {
  return (
    <Shell language={language} title={WORDS[language].unknownTitle}>
      <p>{WORDS[language].unknown}</p>
      <BackLink language={language} />
    </Shell>
  );
}

function BackLink({ language }: { language: Language }) {
  return (
    <a class="link" href={BILLING_PAGE_PATH}>
      {WORDS[language].back}
    </a>
  );
}

function Shell({ language, title, children }: { language: Language; title: string; children?: Child }) {
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
