/** The sandbox's page to save a card: a button for each test card, on which the sandbox sends a signed event. */
import { type AutoRecharge, findByCustomer } from '../../db/auto-recharge.ts';
import { database } from '../../db/client.ts';
import { config, type Env } from '../../env.ts';
import { describeError } from '../../lib/describe-error.ts';
import { isSandboxCard, SANDBOX_CARDS, type SandboxCardName } from './cards.ts';
import { UnknownPage } from './page.tsx';
import { BILLING_PAGE_PATH, page, sandboxPages } from './pages.ts';
import { SANDBOX, SANDBOX_CARD_PATH, sandboxProvider } from './sandbox.ts';
import { sendSandboxEvent } from './send.ts';
import { BackLink, Shell } from './shell.tsx';
import { type Language, languageOf, WORDS } from './words.ts';

export const sandboxCard = sandboxPages(SANDBOX_CARD_PATH);

sandboxCard.get('/:customerRef', async (c) => {
  const language = languageOf(c);
  const customer = await sandboxCustomer(c.env, c.req.param('customerRef'));
  if (customer === null) return c.html(page(<UnknownPage language={language} />), 404);
  return c.html(page(<CardPage language={language} />));
});

sandboxCard.post('/:customerRef', async (c) => {
  const language = languageOf(c);
  const customer = await sandboxCustomer(c.env, c.req.param('customerRef'));
  if (customer === null) return c.html(page(<UnknownPage language={language} />), 404);
  const { card } = await c.req.parseBody();
  if (!isSandboxCard(card)) return c.html(page(<CardPage language={language} />), 400);
  if (!(await save(c.env, customer, card))) return c.html(page(<CardPage language={language} failed />), 502);
  return c.redirect(`${BILLING_PAGE_PATH}?card=saved#recharge`, 303);
});

type Customer = AutoRecharge & { customerRef: string };

async function sandboxCustomer(env: Env, customerRef: string): Promise<Customer | null> {
  if (!config(env).development) return null;
  const row = await findByCustomer(database(env), { provider: SANDBOX, customerRef });
  return row === null ? null : { ...row, customerRef };
}

async function save(env: Env, { accountId, customerRef }: Customer, name: SandboxCardName): Promise<boolean> {
  const { methodRef, label } = SANDBOX_CARDS[name];
  const card = { customer_ref: customerRef, method_ref: methodRef, method_label: label };
  const event = { type: 'card.saved', data: { account_id: accountId, ...card } } as const;
  try {
    return await sendSandboxEvent(env, sandboxProvider(env), event);
  } catch (error) {
    console.error(JSON.stringify({ event: 'sandbox_undelivered', accountId, error: describeError(error) }));
    return false;
  }
}

function CardPage({ language, failed }: { language: Language; failed?: boolean }) {
  const words = WORDS[language];
  return (
    <Shell language={language} title={words.cardTitle}>
      <p class="alert alert-soft alert-warning" role="note">
        {words.notice}
      </p>
      {failed && (
        <p class="alert alert-soft alert-error" role="alert">
          {words.cardUndelivered}
        </p>
      )}
      <p>{words.cardNote}</p>
      <form method="post" class="flex flex-col gap-2">
        {(Object.keys(SANDBOX_CARDS) as SandboxCardName[]).map((name) => (
          <button
            class={`btn h-auto justify-between py-2 text-start ${name === 'works' ? 'btn-primary' : ''}`}
            type="submit"
            name="card"
            value={name}
          >
            {words.cards[name]}
            <span class="whitespace-nowrap font-mono">{SANDBOX_CARDS[name].label.split(' ')[1]}</span>
          </button>
        ))}
      </form>
      <BackLink language={language} />
    </Shell>
  );
}
