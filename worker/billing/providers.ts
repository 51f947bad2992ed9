/** The payment providers that are in use: the first for new top-ups, and every one whose events are still believed. */
import { config, type Env } from '../env.ts';
import type { PaymentProvider } from './provider.ts';
import { sandboxProvider } from './sandbox/sandbox.ts';
import { stripeProvider } from './stripe/stripe.ts';

/** The sandbox moves no money, so in production it would hand out credit for a click: there it does not exist. */
export function providersOf(env: Env): readonly PaymentProvider[] {
  const { publicOrigin, stripe, development } = config(env);
  return [
    ...(stripe ? [stripeProvider({ publicOrigin, stripe })] : []),
    ...(development ? [sandboxProvider(env)] : []),
  ];
}

/** The provider of new top-ups; null while none is configured. */
export function topUpProvider(env: Env): PaymentProvider | null {
  return providersOf(env)[0] ?? null;
}

export function providerNamed(env: Env, name: string): PaymentProvider | null {
  return providersOf(env).find((provider) => provider.name === name) ?? null;
}
