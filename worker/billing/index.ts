/** Billing's doors: providers' webhooks, and the checkout of the embedded sandbox. */
import { Hono } from 'hono';
import type { Env } from '../env.ts';
import { sandboxCheckout } from './sandbox-checkout.tsx';
import { webhook } from './webhook.ts';

export const billing = new Hono<{ Bindings: Env }>();

billing.route('/', webhook);
billing.route('/', sandboxCheckout);
