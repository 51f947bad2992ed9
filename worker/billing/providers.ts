/** The configured payment providers: the first is used for new top-ups; events are accepted from all of them. */
import { config, type Env } from '../env.ts';
import type { PaymentProvider } from './provider.ts';
import { sandboxProvider } from './sandbox/sandbox.ts';
import { stripeProvider } from './stripe/stripe.ts';

/**
 * All configured providers. The sandbox moves no money and would give away credit for a click, so it does not exist
 * in production.
 */
export function providersOf(env: Env): readonly PaymentProvider[] {
  const { publicOrigin, stripe, development } = config(env);
  return [
    ...(stripe ? [stripeProvider({ publicOrigin, stripe })] : []),
    ...(development ? [sandboxProvider(env)] : []),
  ];
}

/** The provider of new top-ups; null: none is configured. */
export function topUpProvider(env: Env): PaymentProvider | null {
  return providersOf(env)[0] ?? null;
}

export function providerNamed(env: Env, name: string): PaymentProvider | null {
  return providersOf(env).find((provider) => provider.name === name) ?? null;
}
