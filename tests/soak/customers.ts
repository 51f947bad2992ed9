/** The customers of a soak. They sign up in the portal, receive credit and create keys as real customers do. */
import { createKey, PortalSession } from '../../gpu-pool/local/portal-session.ts';
import { operatorApi, type Stack } from '../../gpu-pool/local/stack.ts';
import type { Requester } from './request-plan.ts';
import { retryFor } from './retry.ts';

export interface SoakKey {
  readonly accountId: string;
  readonly keyId: string;
  readonly apiKey: string;
}

interface Customer {
  readonly visitor: PortalSession;
  readonly keys: SoakKey[];
}

/** The keys by kind of holder. A stranger's key is well-formed and unknown. */
export type Customers = Readonly<Record<Requester, readonly SoakKey[]>>;

export interface CustomerBase {
  readonly customers: Customers;
  readonly revocations: { keyId: string; atMs: number }[];
  /** Gives credit to an account. The same id twice is one grant. */
  grant(accountId: string, id: string, amountUsd: string): Promise<void>;
  /** Opens an account without credit. */
  open(name: string): Promise<SoakKey>;
  /** Revokes the next of the keys that are meant for it; creates another one when none is left. */
  revoke(): Promise<void>;
}

const RICH_USD = '500.00';
const STRANGERS_KEY = 'sk-tg-0000000000000000000000000000000000000000000000';

export async function openAccounts(stack: Stack): Promise<CustomerBase> {
  const origin = stack.dev.baseUrl;
  const demo = new PortalSession(origin);
  await demo.signInOrSignUp({ ...stack.dev.portal, name: 'Demo' });
  const rich = [
    await customer(origin, demo, 3),
    await signUp(origin, 'large', 3),
    await signUp(origin, 'small', 2),
  ];
  const poor = [await signUp(origin, 'poor', 2), await signUp(origin, 'poorer', 1)];
  const broke = await signUp(origin, 'broke', 1);
  const revocable = await signUp(origin, 'leaving', 6);
  const attacker = await signUp(origin, 'attacker', 2);

  const grant = async (accountId: string, id: string, amountUsd: string) => {
    await operatorApi(stack.edge, 'POST', `/accounts/${accountId}/grants`, {
      grant_id: id,
      amount_usd: amountUsd,
    });
  };
  for (const { keys } of [...rich, revocable, attacker]) await grant(keys[0]!.accountId, 'opening', RICH_USD);

  const revocations: CustomerBase['revocations'] = [];
  return {
    customers: {
      rich: rich.flatMap(({ keys }) => keys),
      poor: poor.flatMap(({ keys }) => keys),
      broke: broke.keys,
      revoked: revocable.keys,
      attacker: attacker.keys,
      stranger: [{ accountId: 'nobody', keyId: 'none', apiKey: STRANGERS_KEY }],
    },
    revocations,
    open: async (name) => (await signUp(origin, name, 1)).keys[0]!,
    grant: (accountId, id, amountUsd) => retryFor(() => grant(accountId, id, amountUsd), 15_000),
    async revoke() {
      const revoked = new Set(revocations.map(({ keyId }) => keyId));
      const next = revocable.keys.find(({ keyId }) => !revoked.has(keyId));
      if (!next)
        return void revocable.keys.push(await newKey(origin, revocable.visitor, `late ${revoked.size}`));
      await revocable.visitor.submitForm(`/keys/${next.keyId}/revoke`, {});
      revocations.push({ keyId: next.keyId, atMs: Date.now() });
    },
  };
}

async function signUp(origin: string, name: string, keys: number): Promise<Customer> {
  const visitor = new PortalSession(origin);
  await visitor.signInOrSignUp({
    email: `${name}@tollgate.example`,
    password: 'correct horse battery',
    name,
  });
  return customer(origin, visitor, keys);
}

async function customer(origin: string, visitor: PortalSession, count: number): Promise<Customer> {
  const keys: SoakKey[] = [];
  for (let n = 0; n < count; n++) keys.push(await newKey(origin, visitor, `soak ${n}`));
  return { visitor, keys };
}

async function newKey(origin: string, visitor: PortalSession, name: string): Promise<SoakKey> {
  const apiKey = await createKey(visitor, { name, requestsPerMinute: '100000', concurrency: '10000' });
  const response = await fetch(`${origin}/v1/key`, { headers: { authorization: `Bearer ${apiKey}` } });
  const { account_id, id } = (await response.json()) as { account_id: string; id: string };
  return { accountId: account_id, keyId: id, apiKey };
}
