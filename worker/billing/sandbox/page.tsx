/** The sandbox's checkout page: plain HTML and one form, no script. */
import type { PaymentOrder } from '../../db/payments.ts';
import { BackLink, Shell } from './shell.tsx';
import { amountOf, type Language, WORDS } from './words.ts';

export function CheckoutPage(props: { order: PaymentOrder; language: Language; failed?: boolean }) {
  const { order, language, failed } = props;
  const words = WORDS[language];
  const amount = amountOf(order, language);
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

/** The page for a link to an unknown order, customer or invoice. */
export function UnknownPage({ language }: { language: Language }) {
  return (
    <Shell language={language} title={WORDS[language].unknownTitle}>
      <p>{WORDS[language].unknown}</p>
      <BackLink language={language} />
    </Shell>
  );
}
