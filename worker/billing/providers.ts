/** The payment providers that are in use: the first for new top-ups, and every one whose events are still believed. */
import type { Config } from '../env.ts';
import type { PaymentProvider } from './provider.ts';
import { sandboxProvider } from './sandbox.ts';
import { stripeProvider } from './stripe.ts';

/** The sandbox moves no money, so in production it would hand out credit for a click: there it does not exist. */
export function providersOf(config: Config): readonly PaymentProvider[] {
  return [
    ...(config.stripe ? [stripeProvider({ publicOrigin: config.publicOrigin, stripe: config.stripe })] : []),
    ...(config.development ? [sandboxProvider(config)] : []),
  ];
}

/** The provider of new top-ups; null while none is configured. */
export function topUpProvider(config: Config): PaymentProvider | null {
  return providersOf(config)[0] ?? null;
}
