/** Billing's routes: providers' webhooks, and the pages of the embedded sandbox. */
import { Hono } from 'hono';
import type { Env } from '../env.ts';
import { sandboxCard } from './sandbox/card.tsx';
import { sandboxCheckout } from './sandbox/checkout.tsx';
import { sandboxInvoice } from './sandbox/invoice.tsx';
import { webhook } from './webhook.ts';

export const billing = new Hono<{ Bindings: Env }>();

billing.route('/', webhook);
billing.route('/', sandboxCheckout);
billing.route('/', sandboxCard);
billing.route('/', sandboxInvoice);
